"""The part of a plan that is libvirt's: definitions to make, edit and give back."""

from __future__ import annotations

from collections.abc import Iterable

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.devices import Guest, Host
from phyllome_seat.model.guest import is_ours
from phyllome_seat.model.step import (
    CreateDisk,
    CreateGuest,
    EditGuest,
    RemoveFile,
    RemoveGuest,
    ResizeGuest,
    RestoreGuest,
    Step,
)

KEPT_PATH = "/var/lib/phyllome-seat/before"  # definitions from before us, <uuid>.xml


def plan_guests(assignment: Assignment, host: Host) -> list[Step]:
    """Return what makes each seat's guest have its devices; a guest that has them needs nothing."""
    return [step for seat in assignment.seats for step in _guest(seat, host)]


def plan_guests_back(assignment: Assignment, host: Host) -> list[Step]:
    """Return what gives back each guest that is marked as ours and no seat wants any more, and
    removes what is kept of a domain that its owner undefined.
    """
    back: list[Step] = list(_back(assignment, host))
    if host.guests is not None:
        gone = set(host.kept_guests) - {guest.uuid for guest in host.guests}
        back += [RemoveFile(f"{KEPT_PATH}/{uuid}.xml") for uuid in sorted(gone)]
    return back


def _back(assignment: Assignment, host: Host) -> list[RemoveGuest | RestoreGuest]:
    wanted = {seat.seat.guest_name for seat in assignment.seats}
    return [
        RemoveGuest(guest.name, guest.uuid)
        if _is_made_by_us(guest, host)
        else RestoreGuest(guest.name, guest.uuid)
        for guest in host.guests_known
        if guest.name not in wanted and _is_marked(guest, host)
    ]


def find_in_use(assignment: Assignment, host: Host, leaving: Iterable[PciAddress]) -> list[str]:
    """Return one sentence for each running guest that must be stopped before anything is done.

    A device cannot change hands while a guest has it: the kernel would wait for that guest. Only
    definitions are edited, so a running guest that merely gets more is in nobody's way.
    """
    hands = {a: seat.seat.guest_name for seat in assignment.seats for a in seat.addresses}
    hands |= dict.fromkeys(leaving)  # None: the host's
    back = {step.uuid for step in _back(assignment, host)}
    words = []
    for guest in (guest for guest in host.guests_known if guest.is_running):
        live = {h.pci for h in guest.hostdevs if h.live and h.pci is not None}
        held = sorted(a for a in live if a in hands and hands[a] != guest.name)
        if held or (guest.uuid in back and (_is_made_by_us(guest, host) or _has_ours_live(guest))):
            words.append(_stop_first(guest, held))
    return words


def _is_made_by_us(guest: Guest, host: Host) -> bool:
    """Return whether we defined it: a clone of such a one has its mark, and a UUID of its own."""
    return guest.created and guest.uuid in host.kept_guests


def _guest(seat: SeatAssignment, host: Host) -> list[Step]:
    name = seat.seat.guest_name
    if name is None:
        return []
    guest = next((g for g in host.guests_known if g.name == name), None)
    if guest is not None:
        return [*_disk_again(seat, guest), *_resize(seat, guest), *_edit(seat, guest)]
    new = seat.seat.create
    if new is None:  # libvirt was not asked, or its answer is assign's to judge
        if host.guests is not None:
            return []
        return [EditGuest(seat.seat.name, name, "", seat.pci, takes_usb=seat.takes_usb)]
    steps: list[Step] = []
    if new.disk_path and new.disk_bytes:
        steps.append(CreateDisk(new.disk_path, new.disk_bytes))
    return [*steps, CreateGuest(seat.seat.name, new, seat.pci)]


def _disk_again(seat: SeatAssignment, guest: Guest) -> list[Step]:
    """The disk that we made for a guest is made again where it is gone: without it none starts."""
    new = seat.seat.create
    if new is None or not guest.created or not new.disk_bytes or new.disk_path not in guest.gone:
        return []
    return [CreateDisk(new.disk_path, new.disk_bytes)]


def _resize(seat: SeatAssignment, guest: Guest) -> list[Step]:
    """What `create` says of a guest that we made is kept true; another's size is its owner's."""
    from phyllome_seat.model.guest_size import find_size

    new = seat.seat.create
    if new is None or not guest.created or (size := find_size(guest.xml)).holds(new):
        return []
    return [ResizeGuest(new, guest.uuid, size.memory_bytes, size.cpus, guest.is_running, size.pin)]


def _edit(seat: SeatAssignment, guest: Guest) -> list[Step]:
    from phyllome_seat.model.guest_edit import needs_edit

    name, takes_usb = seat.seat.name, seat.takes_usb
    if needs_edit(guest.xml, name, seat.pci, takes_usb=takes_usb):
        return [EditGuest(name, guest.name, guest.uuid, seat.pci, takes_usb=takes_usb)]
    return []


def _is_marked(guest: Guest, host: Host) -> bool:
    """Return whether a guest is ours in any way; a kept definition without a mark is a run that
    ended between the two.
    """
    mark = guest.seat is not None or any(is_ours(h) and not h.live for h in guest.hostdevs)
    return mark or guest.uuid in host.kept_guests


def _has_ours_live(guest: Guest) -> bool:
    return any(is_ours(hostdev) and hostdev.live for hostdev in guest.hostdevs)


def _stop_first(guest: Guest, held: list[PciAddress]) -> str:
    devices = f" and has {', '.join(map(str, held))}" if held else ""
    way = f"`phyllome-seat stop {guest.seat}`" if guest.seat else f"`virsh shutdown {guest.name}`"
    return f"guest {guest.name} is running{devices}: stop it first, by {way}"
