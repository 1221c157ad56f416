"""What must never leave the host, and why, from the Host alone.

The reasons follow the block graph down from every mount, the network graph down from every use,
and are united over IOMMU groups: a function is as untouchable as the most needed one in its group.
Where a graph cannot be followed to its end, everything it could end in is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import BlockDevice, Host, NetworkInterface, PciDevice
from phyllome_seat.model.groups import is_harmless
from phyllome_seat.model.keyboards import find_last_keyboards
from phyllome_seat.model.value import dataclass, replace

_STORAGE = 0x01  # PCI base class: PCI Code and ID Assignment Specification 1.11, section 1
_OURS = "ua-phyllome-"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something stays with the host.

    ``kind``: disk, network, console, keyboard, bridge, guest. ``words`` name what would be lost
    ("holds / (ext4 on vg0-root)"), ``evidence`` the file that says so. ``waivable`` is true for
    the console card and the last keyboard, which ``console: none`` gives up.
    """

    kind: str
    words: str
    evidence: str
    waivable: bool = False


@dataclass(frozen=True, slots=True)
class Protected:
    """Everything the host needs, by place.

    A USB place is that of the device itself: a hub above it is needed as well, and does not stand
    here for it.
    """

    pci: dict[PciAddress, tuple[Reason, ...]]
    usb: dict[UsbPort, tuple[Reason, ...]]


def protect(
    host: Host, leaving: tuple[PciAddress, ...] = (), ports: tuple[UsbPort, ...] = ()
) -> Protected:
    """Return what `host` needs, seen together with what is about to leave it.

    The last keyboard and the last screen depend on what leaves: with nothing leaving, no keyboard
    but an only one is the last.
    """
    needs = _Needs(host)
    _need_disks(host, needs)
    _need_networks(host, needs)
    _need_screen(host, frozenset(leaving), needs)
    _need_keyboards(host, leaving, ports, needs)
    _need_guests(host, needs)
    _need_groups(host, needs)
    _need_bridges(host, needs)
    return Protected(
        {address: tuple(needs.pci[address]) for address in sorted(needs.pci)},
        {port: tuple(needs.usb[port]) for port in sorted(needs.usb)},
    )


class _Needs:
    """Reasons collected by place, each once and in the order of finding."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.pci: dict[PciAddress, dict[Reason, None]] = {}
        self.usb: dict[UsbPort, dict[Reason, None]] = {}

    def add(self, addresses: Iterable[PciAddress], port: UsbPort | None, reason: Reason) -> None:
        """Note that the host needs functions, all above them, and what is at a USB place."""
        todo = [*addresses, *([port.controller] if port else [])]
        seen: set[PciAddress] = set()
        while todo:
            address = todo.pop()
            if address in seen:
                continue
            seen.add(address)
            self.pci.setdefault(address, {})[reason] = None
            device = self._host.by_address.get(address)
            if device:
                # Unbinding the driver of a physical function takes its virtual ones away:
                # Documentation/PCI/pci-iov-howto.rst
                todo += [a for a in (device.parent, device.physical_function) if a]
        if port:
            self.usb.setdefault(port, {})[reason] = None


def _need_disks(host: Host, needs: _Needs) -> None:
    """Need everything below each mount; all storage where one cannot be followed."""
    blocks = {block.name: block for block in host.blocks}
    for mount in host.mounts:
        label = blocks[mount.device].label if mount.device in blocks else None
        source = label or mount.device
        if mount.filesystem not in ("", mount.point):
            source = f"{mount.filesystem} on {source}"
        reason = Reason("disk", f"holds {mount.point} ({source})", mount.evidence)
        found, is_whole = _follow(mount.device, blocks, _below_block)
        for block in found:
            needs.add(block.pci, block.usb, reason)
        if not is_whole:
            _need_all_storage(host, needs, reason)


def _below_block(block: BlockDevice) -> tuple[str, ...]:
    return block.below


def _need_all_storage(host: Host, needs: _Needs, reason: Reason) -> None:
    words = f"may hold {reason.words.removeprefix('holds ')}, which cannot be followed to a disk"
    doubt = replace(reason, words=words)
    for block in host.blocks:
        needs.add(block.pci, block.usb, doubt)
    for device in host.pci:
        if device.class_code >> 16 == _STORAGE and not _has_left(device):
            needs.add((device.address,), None, doubt)


def _need_networks(host: Host, needs: _Needs) -> None:
    """Need every interface below each use; all of those at work where none is found."""
    interfaces = {interface.name: interface for interface in host.networks}
    for use in host.network_uses:
        reason = Reason("network", f"carries the {use.why} ({use.interface})", use.evidence)
        found, is_whole = _follow(use.interface, interfaces, _below_interface)
        cards = [interface for interface in found if _is_card(interface)]
        if not (cards and is_whole):
            doubt = replace(reason, words=reason.words.replace("carries", "may carry", 1))
            for interface in host.networks:
                if _is_card(interface) and interface.up is not False:
                    needs.add(_function(interface), interface.usb, doubt)
        for interface in cards:
            needs.add(_function(interface), interface.usb, reason)


def _below_interface(interface: NetworkInterface) -> tuple[str, ...]:
    return interface.below


def _is_card(interface: NetworkInterface) -> bool:
    return interface.pci is not None or interface.usb is not None


def _function(interface: NetworkInterface) -> tuple[PciAddress, ...]:
    return (interface.pci,) if interface.pci else ()


_Node = TypeVar("_Node")


def _follow(
    name: str, nodes: dict[str, _Node], below: Callable[[_Node], tuple[str, ...]]
) -> tuple[list[_Node], bool]:
    """Return a node and all below it, and whether each name was one: a graph without its end is
    not whole.
    """
    found: dict[str, _Node] = {}
    todo, is_whole = [name], True
    while todo:
        name = todo.pop()
        if name in found:
            continue
        node = nodes.get(name)
        if node is None:
            is_whole = False
            continue
        found[name] = node
        todo += below(node)
    return list(found.values()), is_whole


def _need_screen(host: Host, leaving: Collection[PciAddress], needs: _Needs) -> None:
    """Need the card that shows the console, and the last that could in its stead.

    A console that moves to another card when its own leaves is one that nobody may find: the
    person at the PC says so by `console: none`, or lets the firmware start on the other card.
    """
    cards = [device for device in host.pci if device.is_gpu and can_show(host, device)]
    kept = [card for card in cards if card.address not in leaving]
    last = kept or cards if len(kept) < 2 else []
    for card in cards:
        if card.address == host.console.gpu:
            words = "shows the host's console"
        elif card in last:
            words = "is the last card that can show the host's console"
        else:
            continue
        evidence = f"/sys/bus/pci/devices/{card.address}/boot_vga"
        reason = Reason("console", words, evidence if card.boot_vga else "/sys/class/drm", True)
        needs.add((card.address,), None, reason)


def can_show(host: Host, card: PciDevice) -> bool:
    """Whether a card shows the host's console, or has a driver of the host and a connector."""
    if _has_left(card):
        return False
    if card.address == host.console.gpu:
        return True
    connectors = (c for c in host.connectors if c.gpu == card.address and not c.remembered)
    return card.driver is not None and any(connectors)


def _has_left(device: PciDevice) -> bool:
    """Whether a function is already out of the host's hands: with VFIO, or set aside."""
    return device.driver is not None and not device.is_bridge and is_harmless(device.driver)


def _need_keyboards(
    host: Host, leaving: Collection[PciAddress], ports: Collection[UsbPort], needs: _Needs
) -> None:
    """Need every place whose leaving would leave no keyboard to type on."""
    keyboards, pci, usb = find_last_keyboards(host.inputs, leaving, ports)
    if not (pci or usb):
        return
    names = list(dict.fromkeys(f"{keyboard.name} ({keyboard.node})" for keyboard in keyboards))
    words = f"has the host's last keyboard, {names[0]}"
    if len(names) > 1:
        words = f"has one of the host's last keyboards, {', '.join(names)}"
    evidence = f"/sys/class/input/{keyboards[0].node}"
    reason = Reason("keyboard", words, evidence, waivable=True)
    for address in pci:
        needs.add((address,), None, reason)
    for port in usb:
        needs.usb.setdefault(port, {})[reason] = None


def _need_guests(host: Host, needs: _Needs) -> None:
    """Need what a running guest holds that was not given to it by us."""
    for guest in host.guests_known:
        for hostdev in guest.hostdevs if guest.is_running else ():
            if not hostdev.live or (hostdev.alias or "").startswith(_OURS):
                continue
            reason = Reason("guest", f"is held by guest {guest.name}", f"domain {guest.uuid}")
            if hostdev.pci:
                needs.add((hostdev.pci,), None, reason)
                continue
            for device in host.usb:
                is_meant = (device.bus, device.number) == (hostdev.usb_bus, hostdev.usb_number)
                if hostdev.usb_bus is None:
                    is_meant = device.id == hostdev.usb_id
                if is_meant and not device.remembered:
                    needs.add((), device.port, reason)


def _need_groups(host: Host, needs: _Needs) -> None:
    """Need what shares an IOMMU group with something needed: a group leaves as one or not at all.

    A bridge is no reason: its driver, pcieport, leaves its group free (see `groups`).
    """
    direct = {address: tuple(reasons) for address, reasons in needs.pci.items()}
    for group, members in host.groups.items():
        functions = [member for member in members if not member.is_bridge]
        for needed in functions:
            for reason in direct.get(needed.address, ()):
                place = f"{needed.address} ({needed.name})"
                words = f"shares IOMMU group {group} with {place}, which {reason.words}"
                shared = replace(reason, words=words)
                for member in functions:
                    if member is not needed:
                        needs.pci.setdefault(member.address, {})[shared] = None


def _need_bridges(host: Host, needs: _Needs) -> None:
    for device in host.pci:
        path = f"/sys/bus/pci/devices/{device.address}"
        if device.is_bridge:
            # vfio-pci takes no function with a bridge's header: vfio_pci_core_register_device
            reason = Reason("bridge", "is a bridge, which other devices hang on", path + "/class")
            needs.pci.setdefault(device.address, {})[reason] = None
        elif device.driver == "thunderbolt":
            reason = Reason("bridge", "tunnels PCI Express to docks and disks", path + "/driver")
            needs.pci.setdefault(device.address, {})[reason] = None
