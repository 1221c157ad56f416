"""What the host and its guests use now, followed to functions and USB places: disks, networks."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import BlockDevice, Host, Mount, NetworkInterface
from phyllome_seat.model.follow import Followed, render_disk_way
from phyllome_seat.model.guest_holds import find_disks, find_interfaces
from phyllome_seat.model.need import Needs, Reason, has_left
from phyllome_seat.model.value import replace

# PCI base class: PCI Code and ID Assignment Specification 1.11, section 1
_STORAGE = 0x01
_OURS = "ua-phyllome-"


def need_disks(host: Host, needs: Needs) -> None:
    """Need everything below each mount; all storage where one cannot be followed."""
    blocks = {block.name: block for block in host.blocks}
    parts = _below(host.blocks)
    for mount in host.mounts:
        label = blocks[mount.device].label if mount.device in blocks else None
        source = label or mount.device
        if mount.filesystem not in ("", mount.point):
            source = f"{mount.filesystem} on {source}"
        reason = Reason("disk", f"holds {mount.point} ({source})", mount.evidence)
        below = Followed(mount.device, parts)
        for name in below.found:
            block, way = blocks[name], render_disk_way(below.way(name), blocks)
            needs.add(block.pci, block.usb, replace(reason, loses=_lost(mount, way)))
        if not below.is_whole:
            _need_all_storage(host, needs, replace(reason, loses=_lost(mount, mount.device)))


def _lost(mount: Mount, way: str) -> str:
    if mount.point.startswith("/"):
        return f"the disk with {mount.point} ({way})"
    what = {"swap": "its swap", "EFI system partition": "the partition it starts from"}
    return f"{what.get(mount.point, mount.point)} ({way})"


def _below(nodes: tuple[BlockDevice | NetworkInterface, ...]) -> dict[str, tuple[str, ...]]:
    """Return what each is made of."""
    return {node.name: node.below for node in nodes}


def _need_all_storage(host: Host, needs: Needs, reason: Reason) -> None:
    words = f"may hold {reason.words.removeprefix('holds ')}, which cannot be followed to a disk"
    doubt = replace(reason, words=words, loses=f"perhaps {reason.loses}")
    for block in host.blocks:
        needs.add(block.pci, block.usb, doubt)
    for device in host.pci:
        if device.class_code >> 16 == _STORAGE and not has_left(device):
            needs.add((device.address,), None, doubt)


def need_networks(host: Host, needs: Needs) -> None:
    """Need every interface below each use; all of those at work where none is found."""
    interfaces = {interface.name: interface for interface in host.networks}
    parts = _below(host.networks)
    for use in host.network_uses:
        words = f"carries the {use.why} ({use.interface})"
        below = Followed(use.interface, parts)
        cards = [interfaces[name] for name in below.found if _is_card(interfaces[name])]
        lost = _lost_network(use.why)
        reason = Reason("network", words, use.evidence, by_name=use.is_way_in)
        if not (cards and below.is_whole):
            words = words.replace("carries", "may carry", 1)
            doubt = replace(reason, words=words, loses=f"perhaps {lost}")
            for interface in host.networks:
                if _is_card(interface) and interface.up is not False:
                    needs.add(_function(interface), interface.usb, doubt)
        for interface in cards:
            way = " → ".join(below.way(interface.name))
            here = replace(reason, loses=f"{lost}, by {way}")
            needs.add(_function(interface), interface.usb, here)


def _lost_network(why: str) -> str:
    kind, session, peer = why.partition("session from ")
    if session:
        return f"the network to {peer} ({'an' if kind else 'a'} {kind}session)"
    if why == "default route":
        return "its way to the network (the default route)"
    return f"what comes over the network: the {why}"


def _is_card(interface: NetworkInterface) -> bool:
    return interface.pci is not None or interface.usb is not None


def _function(interface: NetworkInterface) -> tuple[PciAddress, ...]:
    return (interface.pci,) if interface.pci else ()


def need_guests(host: Host, needs: Needs) -> None:
    """Need what a running guest holds that was not given to it by us, its disks and network too."""
    blocks = {block.name: block for block in host.blocks}
    interfaces = {interface.name: interface for interface in host.networks}
    disks, networks = _below(host.blocks), _below(host.networks)
    for guest in host.guests_known:
        if not guest.is_running:
            continue
        evidence = f"domain {guest.uuid}"
        for disk in find_disks(guest, host):
            words = f"holds a disk of guest {guest.name} ({disk.label or disk.name})"
            lost = f"the disk of guest {guest.name}"
            for part in Followed(disk.name, disks).found:
                reason = Reason("guest", words, evidence, lost)
                needs.add(blocks[part].pci, blocks[part].usb, reason)
        for name in find_interfaces(guest):
            words = f"carries the network of guest {guest.name} ({name})"
            lost = f"the network of guest {guest.name}"
            for part in Followed(name, networks).found:
                reason = Reason("guest", words, evidence, lost)
                needs.add(_function(interfaces[part]), interfaces[part].usb, reason)
        for hostdev in guest.hostdevs:
            if not hostdev.live or (hostdev.alias or "").startswith(_OURS):
                continue
            lost = f"what guest {guest.name} is using"
            reason = Reason("guest", f"is held by guest {guest.name}", evidence, lost)
            if hostdev.pci:
                needs.add((hostdev.pci,), None, reason)
                continue
            for device in host.usb:
                is_meant = (device.bus, device.number) == (hostdev.usb_bus, hostdev.usb_number)
                if hostdev.usb_bus is None:
                    is_meant = device.id == hostdev.usb_id
                if is_meant and not device.remembered:
                    needs.add((), device.port, reason)
