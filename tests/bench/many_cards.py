"""A PC to propose seats on: sixteen cards and thirty-two USB controllers, not two of them alike.

Two NUMA nodes; a third of the cards without a monitor, a few in narrow slots; keyboards and mice on
some controllers, several people's on others; a controller in the group of the disk.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import (
    BlockDevice,
    Connector,
    Console,
    Cpu,
    Host,
    InputDevice,
    Link,
    Memory,
    Mount,
    PciDevice,
    UsbDevice,
    UsbSocket,
)
from phyllome_seat.model.value import replace

_CARDS, _CONTROLLERS, _CPUS = 16, 32, 128


def many_cards() -> Host:
    """Return the machine, the same each time."""
    cards = [part for number in range(_CARDS) for part in _card(number)]
    controllers = [_controller(number) for number in range(_CONTROLLERS)]
    disk = _function((0x80, 0), 0x010802, "nvme", _CARDS + _CONTROLLERS - 1, 0)
    plugged = [thing for number in range(_CONTROLLERS) for thing in _plugged(number)]
    return Host(
        pci=(*cards, *controllers, disk),
        connectors=tuple(
            Connector(PciAddress(0, n + 1, 0, 0), "DP-1", connected=n % 3 > 0)
            for n in range(_CARDS)
        ),
        sockets=tuple(
            UsbSocket((UsbPort(c.address, "usb2", (n,)), UsbPort(c.address, "usb3", (n + 4,))))
            for c in controllers
            for n in range(1, 5)
        ),
        usb=tuple(device for device, _ in plugged),
        inputs=tuple(node for _, node in plugged),
        cpus=tuple(
            Cpu(n, core=(n // 2 * 2, n // 2 * 2 + 1), l3=(n // 16,), numa_node=n * 2 // _CPUS)
            for n in range(_CPUS)
        ),
        memory=Memory(256 * 2**20),
        blocks=(BlockDevice("nvme0n1", "259:0", pci=(disk.address,)),),
        mounts=(Mount("nvme0n1", "/", "ext4"),),
        console=Console(gpu=PciAddress(0, 1, 0, 0)),
    )


def _function(where: tuple[int, int], code: int, driver: str, group: int, node: int) -> PciDevice:
    bus, function = where
    return PciDevice(
        PciAddress(0, bus, 0, function),
        PciId(0x10DE, 0x2000 + bus),
        code,
        driver=driver,
        iommu_group=group,
        numa_node=node,
    )


def _card(number: int) -> tuple[PciDevice, PciDevice]:
    bus, node = number + 1, number % 2
    lanes = 4 if number % 5 == 4 else 16
    gpu = _function((bus, 0), 0x030000, "nouveau", number, node)
    sound = _function((bus, 1), 0x040300, "snd_hda_intel", number, node)
    return replace(gpu, link=Link(16.0, lanes, 16.0, 16)), sound


def _controller(number: int) -> PciDevice:
    return _function((0x40 + number, 0), 0x0C0330, "xhci_hcd", _CARDS + number, number // 3 % 2)


def _plugged(number: int) -> list[tuple[UsbDevice, InputDevice]]:
    kinds = ((), ("keyboard",), ("keyboard", "mouse"), ("keyboard", "keyboard"), ("mouse",))
    return [_thing(number, port, kind) for port, kind in enumerate(kinds[number % len(kinds)], 1)]


def _thing(number: int, port: int, kind: str) -> tuple[UsbDevice, InputDevice]:
    place = UsbPort(PciAddress(0, 0x40 + number, 0, 0), "usb2", (port,))
    name = f"{number + 1}-{port}"
    device = UsbDevice(name, place, UsbId(0x046D, port), number + 1, port, product=kind)
    node = InputDevice(
        f"event{number * 8 + port}", kind, (kind,), 3, usb=place, pci=place.controller
    )
    return device, node


def with_groups(host: Host) -> Host:
    """Return a recorded machine with an IOMMU group for each device: its recording has none."""
    places: dict[tuple[int, int, int], int] = {}
    pci = tuple(
        replace(
            device,
            iommu_group=places.setdefault(
                (device.address.domain, device.address.bus, device.address.device), len(places)
            ),
        )
        for device in host.pci
    )
    return replace(host, pci=pci)
