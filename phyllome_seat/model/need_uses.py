"""What the host and its guests use now, followed to functions and USB places: disks, networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import BlockDevice, Host, NetworkInterface
from phyllome_seat.model.guest_holds import find_disks, find_interfaces
from phyllome_seat.model.need import Needs, Reason, has_left
from phyllome_seat.model.value import replace

# PCI base class: PCI Code and ID Assignment Specification 1.11, section 1
_STORAGE = 0x01
_OURS = "ua-phyllome-"


def need_disks(host: Host, needs: Needs) -> None:
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


def _need_all_storage(host: Host, needs: Needs, reason: Reason) -> None:
    words = f"may hold {reason.words.removeprefix('holds ')}, which cannot be followed to a disk"
    doubt = replace(reason, words=words)
    for block in host.blocks:
        needs.add(block.pci, block.usb, doubt)
    for device in host.pci:
        if device.class_code >> 16 == _STORAGE and not has_left(device):
            needs.add((device.address,), None, doubt)


def need_networks(host: Host, needs: Needs) -> None:
    """Need every interface below each use; all of those at work where none is found."""
    interfaces = {interface.name: interface for interface in host.networks}
    for use in host.network_uses:
        words = f"carries the {use.why} ({use.interface})"
        reason = Reason("network", words, use.evidence, by_name=use.is_way_in)
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


def need_guests(host: Host, needs: Needs) -> None:
    """Need what a running guest holds that was not given to it by us, its disks and network too."""
    blocks = {block.name: block for block in host.blocks}
    interfaces = {interface.name: interface for interface in host.networks}
    for guest in host.guests_known:
        if not guest.is_running:
            continue
        evidence = f"domain {guest.uuid}"
        for disk in find_disks(guest, host):
            words = f"holds a disk of guest {guest.name} ({disk.label or disk.name})"
            for block in _follow(disk.name, blocks, _below_block)[0]:
                needs.add(block.pci, block.usb, Reason("guest", words, evidence))
        for name in find_interfaces(guest):
            words = f"carries the network of guest {guest.name} ({name})"
            for interface in _follow(name, interfaces, _below_interface)[0]:
                needs.add(_function(interface), interface.usb, Reason("guest", words, evidence))
        for hostdev in guest.hostdevs:
            if not hostdev.live or (hostdev.alias or "").startswith(_OURS):
                continue
            reason = Reason("guest", f"is held by guest {guest.name}", evidence)
            if hostdev.pci:
                needs.add((hostdev.pci,), None, reason)
                continue
            for device in host.usb:
                is_meant = (device.bus, device.number) == (hostdev.usb_bus, hostdev.usb_number)
                if hostdev.usb_bus is None:
                    is_meant = device.id == hostdev.usb_id
                if is_meant and not device.remembered:
                    needs.add((), device.port, reason)
