"""The whole PC, read once into one `Host`."""

from __future__ import annotations

from phyllome_seat.model.devices import Host
from phyllome_seat.model.guest_holds import find_images
from phyllome_seat.model.seen import parse_seen, recall
from phyllome_seat.model.value import replace
from phyllome_seat.system.scan_console import read_console
from phyllome_seat.system.scan_cpu import read_cpus, read_iommu, read_memory
from phyllome_seat.system.scan_drm import read_connectors
from phyllome_seat.system.scan_input import read_inputs
from phyllome_seat.system.scan_network import read_networks
from phyllome_seat.system.scan_pci import read_pci
from phyllome_seat.system.scan_storage import read_blocks
from phyllome_seat.system.scan_usb import read_usb
from phyllome_seat.system.state import LIB, read_state
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.tcp import read_tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from phyllome_seat.model.devices import Guest


def scan(sysfs: Sysfs, *, guests: Callable[[], tuple[Guest, ...] | None] | None = None) -> Host:
    """Return what the machine below `sysfs` has, with what is remembered of what it hides.

    ``guests`` asks libvirt, and is not called where it is None: then nobody knows of any guest.
    What comes and goes while this reads is in the result or not; nothing is read twice.
    StateFileError where a file of ours no longer parses.
    """
    before, pending, files, kept_guests = read_state(sysfs)
    pci = read_pci(sysfs, locked={write.address for write in pending})
    usb, sockets = read_usb(sysfs)
    blocks, mounts = read_blocks(sysfs)
    tcp = read_tcp(sysfs)
    networks, network_uses = read_networks(sysfs, tcp)
    host = Host(
        pci=pci,
        connectors=read_connectors(sysfs),
        sockets=sockets,
        usb=usb,
        inputs=read_inputs(sysfs, usb),
        cpus=read_cpus(sysfs),
        memory=read_memory(sysfs),
        iommu=read_iommu(sysfs),
        blocks=blocks,
        mounts=mounts,
        networks=networks,
        network_uses=network_uses,
        console=read_console(sysfs, pci, tcp),
        guests=_with_gone(guests(), sysfs) if guests else None,
        before=before,
        pending=pending,
        files=files,
        kept_guests=kept_guests,
    )
    return recall(parse_seen(sysfs.read(f"{LIB}/seen.json")), host)


def _with_gone(guests: tuple[Guest, ...] | None, sysfs: Sysfs) -> tuple[Guest, ...] | None:
    """Return the guests, those that we created with the disk images that are not there."""
    if guests is None or not any(guest.created for guest in guests):
        return guests
    return tuple(
        replace(guest, gone=tuple(path for path in find_images(guest) if _is_gone(path, sysfs)))
        if guest.created
        else guest
        for guest in guests
    )


def _is_gone(path: str, sysfs: Sysfs) -> bool:
    """Return whether a file is not in its folder, as far as one may look in there."""
    folder, _, name = path.lstrip("/").rpartition("/")
    may_look = sysfs.status(f"{folder}/.") is not None
    return may_look and sysfs.status(f"{folder}/{name}") is None
