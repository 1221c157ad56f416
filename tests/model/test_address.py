from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phyllome_seat.model.address import (
    PciAddress,
    PciId,
    UsbId,
    UsbPort,
    parse_port_chain,
    render_port_chain,
)
from phyllome_seat.model.errors import AddressError

numbers = st.integers(0, 0xFFFF)
pci_addresses = st.builds(
    PciAddress,
    st.one_of(st.just(0), st.integers(0, 0xFFFFFFFF)),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)
pci_ids = st.one_of(
    st.builds(PciId, numbers, numbers), st.builds(PciId, numbers, numbers, numbers, numbers)
)
usb_ids = st.builds(UsbId, numbers, numbers)
port_chains = st.lists(st.integers(1, 255), min_size=1, max_size=6).map(tuple)
usb_ports = st.builds(UsbPort, pci_addresses, st.sampled_from(["usb2", "usb3"]), port_chains)

TYPES = (PciAddress, PciId, UsbId, UsbPort)

# Texts close to real ones find more than arbitrary ones do.
almost = st.text(alphabet="0123456789abcdefABCDEFx:./_-+ \nusb٣", max_size=40)


@given(st.one_of(pci_addresses, pci_ids, usb_ids, usb_ports))
@example(PciAddress(0, 1, 0, 0))
@example(PciAddress(0x10000, 0xE1, 0, 0))
@example(PciAddress(0xFFFFFFFF, 255, 31, 7))
def test_what_is_printed_parses_to_the_same_value(value):
    assert type(value).parse(str(value)) == value


@given(st.one_of(almost, st.text()), st.sampled_from(TYPES))
@example("-001:00:00.0", PciAddress)
@example("0_00:00:00.0", PciAddress)
@example("00000:00:00.0", PciAddress)
@example("0000:00:00.0\n", PciAddress)
@example("-001:0000", UsbId)
@example("0x10:0000", UsbId)
@example("0000:00:14.0/usb2/+4", UsbPort)
def test_a_text_is_refused_or_printed_back_as_it_was(text, kind):
    try:
        value = kind.parse(text)
    except AddressError as error:
        assert error.text in text
        assert error.hint
    else:
        assert str(value) == text


@given(port_chains)
def test_a_port_chain_parses_to_the_same_numbers(ports):
    assert parse_port_chain(render_port_chain(ports)) == ports


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0000:01:00.0", PciAddress(0, 1, 0, 0)),
        ("0000:00:1f.3", PciAddress(0, 0, 31, 3)),
        ("10000:e1:00.0", PciAddress(0x10000, 0xE1, 0, 0)),
        ("10de:2786", PciId(0x10DE, 0x2786)),
        ("10de:2786/1043:88e2", PciId(0x10DE, 0x2786, 0x1043, 0x88E2)),
        ("10de:2786/0000:0000", PciId(0x10DE, 0x2786, 0, 0)),
        ("046d:c52b", UsbId(0x046D, 0xC52B)),
        ("0000:00:14.0/usb2/13", UsbPort(PciAddress(0, 0, 0x14, 0), "usb2", (13,))),
        ("0000:00:14.0/usb3/4.1.2", UsbPort(PciAddress(0, 0, 0x14, 0), "usb3", (4, 1, 2))),
    ],
)
def test_the_text_of_sysfs_means_these_numbers(text, value):
    assert type(value).parse(text) == value
    assert str(value) == text


@pytest.mark.parametrize(
    ("text", "proposal"),
    [
        ("01:00.0", "0000:01:00.0"),
        ("1:0.0", "0000:01:00.0"),
        ("0000:0A:00.0", "0000:0a:00.0"),
        ("0000:01:00:0", "0000:01:00.0"),
        ("pci_0000_01_00_0", "0000:01:00.0"),
        (" 0000:01:00.0", "0000:01:00.0"),
    ],
)
def test_a_pci_address_in_another_form_is_refused_with_the_full_form(text, proposal):
    with pytest.raises(AddressError) as caught:
        PciAddress.parse(text)
    assert caught.value.hint == f"write {proposal}"
    assert "0000:01:00.0" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "gpu", "0000:01:20.0", "0000:01:00.8", "0000:01", "0000:100:00.0", "1:2:3:4:5"]
)
def test_what_can_be_no_pci_address_is_refused_with_where_to_look(text):
    with pytest.raises(AddressError, match="is not a PCI address") as caught:
        PciAddress.parse(text)
    assert "lspci -D" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [
        (PciId, "0x10de:0x2786", "write 10de:2786"),
        (PciId, "10DE:2786/1043:88E2", "write 10de:2786/1043:88e2"),
        (PciId, "10de", "`lspci -nn` lists the ids of this machine"),
        (PciId, "10de:2786/1043", "`lspci -nn` lists the ids of this machine"),
        (UsbId, "046D:C52B", "write 046d:c52b"),
        (PciId, "10de:2786/1043:88e2/0X10:0001", "`lspci -nn` lists the ids of this machine"),
        (UsbId, "046D:C52B/1043:88E2", "`lsusb` lists the ids of this machine"),
        (UsbId, "46d:c52b", "`lsusb` lists the ids of this machine"),
    ],
)
def test_an_id_in_another_form_is_refused_with_what_to_do(kind, text, hint):
    with pytest.raises(AddressError) as caught:
        kind.parse(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["", "0", "256", "4.", "4..1", "04", "1.2.3.4.5.6.7", "1-4", "٣"])
def test_no_usb_device_can_be_at_such_a_port(text):
    with pytest.raises(AddressError, match="is not a USB port"):
        parse_port_chain(text)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (PciAddress, (0x1_0000_0000, 0, 0, 0)),
        (PciAddress, (0, 256, 0, 0)),
        (PciAddress, (0, 0, 32, 0)),
        (PciAddress, (0, 0, 0, 8)),
        (PciAddress, (-1, 0, 0, 0)),
        (PciId, (0x10000, 0)),
        (PciId, (0, 0, 1)),
        (UsbId, (0, -1)),
        (UsbPort, (PciAddress(0, 0, 0, 0), "usb4", (1,))),
        (UsbPort, (PciAddress(0, 0, 0, 0), "usb2", ())),
    ],
)
def test_a_value_that_could_not_be_parsed_back_cannot_be_made(kind, numbers):
    with pytest.raises(AddressError):
        kind(*numbers)


@given(st.lists(pci_addresses))
def test_pci_addresses_are_in_the_order_of_their_numbers(addresses):
    assert sorted(addresses) == sorted(addresses, key=dataclasses.astuple)


def test_a_domain_of_five_digits_comes_after_one_of_four():
    vmd, last = PciAddress.parse("10000:00:00.0"), PciAddress.parse("ffff:00:00.0")
    assert sorted([vmd, last]) == [last, vmd]


@given(pci_ids, pci_ids)
def test_pci_ids_have_one_order_with_and_without_subsystem(one, other):
    assert [one < other, one == other, one > other].count(True) == 1
    assert (one <= other) == (not one > other)


@pytest.mark.parametrize(
    ("wanted", "present", "fits"),
    [
        ("10de:2786", "10de:2786", True),
        ("10de:2786", "10de:2786/1043:88e2", True),
        ("10de:2786/1043:88e2", "10de:2786/1043:88e2", True),
        ("10de:2786/1043:88e2", "10de:2786/1043:88e3", False),
        ("10de:2786/1043:88e2", "10de:2786", False),
        ("10de:2786", "10de:2787", False),
        ("10de:2786", "10df:2786", False),
    ],
)
def test_an_id_without_subsystem_asks_for_any(wanted, present, fits):
    assert PciId.parse(wanted).matches(PciId.parse(present)) is fits


def test_the_port_of_a_hub_is_the_parent_of_the_ports_behind_it():
    port = UsbPort.parse("0000:00:14.0/usb2/4.1.2")
    hub = UsbPort.parse("0000:00:14.0/usb2/4.1")
    assert port.parent == hub
    assert UsbPort.parse("0000:00:14.0/usb2/4").parent is None


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("0000:00:14.0/usb2/4.1.2", True),
        ("0000:00:14.0/usb2/4.1", True),
        ("0000:00:14.0/usb2/4", False),
        ("0000:00:14.0/usb2/41", False),
        ("0000:00:14.0/usb2/5.4", False),
        ("0000:00:14.0/usb3/4.1", False),
        ("0000:00:15.0/usb2/4.1", False),
    ],
)
def test_a_port_is_below_the_port_of_its_hub_and_no_other(text, below):
    assert UsbPort.parse(text).is_below(UsbPort.parse("0000:00:14.0/usb2/4")) is below


@given(usb_ports)
def test_a_port_is_below_its_parent_and_not_the_other_way_round(port):
    if port.parent is not None:
        assert port.is_below(port.parent)
        assert not port.parent.is_below(port)
    assert not port.is_below(port)


def test_equal_values_are_one_key():
    assert len({PciAddress.parse("0000:01:00.0"), PciAddress(0, 1, 0, 0)}) == 1
    assert len({UsbPort.parse("0000:00:14.0/usb2/4"), UsbPort.parse("0000:00:14.0/usb3/4")}) == 2
