"""What a device is called."""

import pytest

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.devices import PciDevice


@pytest.mark.parametrize(
    ("class_code", "kind"),
    [
        (0x0C0330, "USB controller"),
        (0x0C0500, "SMBus"),
        (0x0C0010, "device"),  # FireWire
        (0x030000, "graphics card"),
        (0x020000, "NIC"),
        (0x088000, "device"),
    ],
)
def test_a_function_the_database_does_not_know_is_called_by_its_class_and_id(class_code, kind):
    address, name = PciAddress.parse("0000:00:14.0"), PciId.parse("1022:790b")

    assert PciDevice(address, name, class_code).name == f"{kind} 1022:790b"
