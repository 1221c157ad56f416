"""PCs put together of parts that were recorded on different ones: a machine, groups, monitors.

The trees of whole machines were recorded without IOMMU groups and monitors, the lists of groups
without what is plugged in. What a board does with groups is taken from where it was seen, and laid
over another machine by class: its first card gets the group of the other's first card, and so on.
"""

from __future__ import annotations

from itertools import cycle

from phyllome_seat.model.address import PciAddress, UsbId, UsbPort
from phyllome_seat.model.devices import (
    BlockDevice,
    Connector,
    Console,
    InputDevice,
    Memory,
    Mount,
    NetworkInterface,
    NetworkUse,
    UsbDevice,
    UsbSocket,
)
from phyllome_seat.model.edid import parse_edid
from phyllome_seat.model.errors import EdidError
from phyllome_seat.model.value import replace
from tests.bench.many_cards import with_groups
from tests.recorded import count_tested, read_archive

# What the lists of groups do not say: who drives a function, by its class.
_DRIVERS = {
    0x0101: "ata_piix",
    0x0104: "ahci",
    0x0106: "ahci",
    0x0108: "nvme",
    0x0200: "igc",
    0x0300: "amdgpu",
    0x0302: "amdgpu",
    0x0380: "amdgpu",
    0x0403: "snd_hda_intel",
    0x0C03: "xhci_hcd",
    0x0280: "iwlwifi",
}
OWN, ROOT_PORT, ONE = "own groups", "one root port", "one group"


def compose(machine, groups, monitors, number):
    """Return a machine with a disk and a network in use, memory, groups and monitors.

    `groups` is one of the words above, or another Host whose groups are laid over it. Which of the
    `monitors` are on it, `number` says; every third runs from a USB disk.
    """
    if number % 3 == 0:
        machine = from_stick(machine)
    laid = {OWN: with_groups, ROOT_PORT: behind_one_port, ONE: in_one_group}
    machine = laid[groups](machine) if isinstance(groups, str) else like(machine, groups)
    machine = replace(machine, pci=tuple(map(driven, machine.pci)))
    gpus = [d.address for d in machine.pci if d.is_gpu]
    nics = [d.address for d in machine.pci if d.class_code >> 8 == 0x0200][:1]
    disks = tuple(Mount(b.name, "/", "ext4") for b in machine.blocks[:1])
    return replace(
        machine,
        mounts=disks,
        networks=tuple(NetworkInterface("eth0", pci=nic, up=True) for nic in nics),
        network_uses=tuple(NetworkUse("eth0", "default route", "/proc/net/route") for _ in nics),
        memory=Memory(32 * 2**20),
        connectors=with_monitors(machine, gpus, monitors, number),
        console=Console(gpu=gpus[0] if gpus else None),
    )


def from_stick(machine):
    """Return a machine whose first disk is in a socket of its last USB controller."""
    controller = next(d for d in reversed(machine.pci) if d.is_usb_controller).address
    place = UsbPort(controller, "usb2", (2,))
    stick = BlockDevice("stick", "8:160", pci=(controller,), usb=place)
    device = UsbDevice("99-2", place, UsbId(0x0781, 0x5581), 99, 2, interfaces=("080650",))
    return replace(machine, blocks=(stick, *machine.blocks), usb=(*machine.usb, device))


def with_slots(machine, donor, count):
    """Return a machine with cards and USB controllers of another in free slots, a keyboard on each
    controller: `count` of both.
    """
    card = next(d for d in reversed(donor.pci) if d.is_gpu)
    usb = next(d for d in reversed(donor.pci) if d.is_usb_controller)
    used = {d.address.bus for d in machine.pci}
    free = iter([bus for bus in range(1, 256) if bus not in used])
    for number in range(count):
        bus, own = next(free), PciAddress(0, next(free), 0, 0)
        board = [put(d, PciAddress(0, bus, 0, d.address.function)) for d in on_board(donor, card)]
        ports = [UsbPort(own, "usb2", (1,)), UsbPort(own, "usb2", (2,))]
        name, node = f"9{number}-1", f"event9{number}"
        machine = replace(
            machine,
            pci=(*machine.pci, *board, put(usb, own)),
            sockets=(*machine.sockets, *(UsbSocket((port,)) for port in ports)),
            usb=(*machine.usb, UsbDevice(name, ports[0], UsbId(0x046D, 0xC31C), 90 + number, 2)),
            inputs=(
                *machine.inputs,
                InputDevice(node, "Keyboard", ("key", "keyboard"), 3, usb=ports[0], pci=own),
            ),
        )
    return machine


def on_board(host, card):
    return [d for d in host.functions_of(card.address) if not d.is_bridge]


def put(device, address):
    """Return a function as a driver of the host has it, at another place."""
    return driven(replace(device, address=address, driver=None, parent=None, boot_vga=None))


def driven(device):
    """Return a function with a driver of the host, where there is one for its class."""
    return replace(device, driver=device.driver or _DRIVERS.get(device.class_code >> 8))


def in_one_group(host):
    """As where the chipset isolates nothing."""
    return replace(host, pci=tuple(replace(d, iommu_group=0) for d in host.pci))


def behind_one_port(host):
    """As where all slots hang on one root port without ACS: what is on the root bus has its own."""
    own = with_groups(host)
    return replace(
        own, pci=tuple(d if d.address.bus == 0 else replace(d, iommu_group=999) for d in own.pci)
    )


def like(host, other):
    """Lay the groups of another machine over this one, class by class in their order."""
    found = {}
    for device in other.pci:
        found.setdefault(device.class_code >> 8, []).append(device.iommu_group)
    rings = {code: cycle(groups) for code, groups in found.items()}
    own = {d.address: 1000 + d.iommu_group for d in with_groups(host).pci}
    return replace(
        host,
        pci=tuple(
            replace(
                device,
                iommu_group=next(rings[device.class_code >> 8])
                if device.class_code >> 8 in rings
                else own[device.address],
            )
            for device in host.pci
        ),
    )


def with_monitors(host, gpus, monitors, number):
    """Return two connectors for each card that has none; every second one has the next monitor."""
    bare = [gpu for gpu in gpus if gpu not in {c.gpu for c in host.connectors}]
    new = [Connector(gpu, f"DP-{n}", connected=False) for gpu in bare for n in (1, 2)]
    connectors = []
    for place, connector in enumerate((*host.connectors, *new)):
        if (place + number) % 2 == 0 and monitors:
            monitor = monitors[(number * 7 + place) % len(monitors)]
            connectors.append(replace(connector, connected=True, enabled=True, monitor=monitor))
        else:
            connectors.append(connector)
    return tuple(connectors)


def read_monitors():
    """Return every recorded monitor whose EDID can be read."""
    found = []
    for name in ("linuxhw", "libdisplay-info"):
        for path, content in sorted(read_archive(f"edid/{name}.tar.xz").items()):
            if path.endswith((".ref", ".print")):
                continue
            try:
                found.append(parse_edid(content))
            except EdidError:
                continue
            count_tested("monitors", path)
    return tuple(found)
