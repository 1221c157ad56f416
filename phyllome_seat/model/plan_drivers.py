"""The part of a plan that is drivers': who has each function now, and who had it before us.

What a function had is noted below ``/run`` before it is bound. Two things come of that being a
file: a note may be lost, and a function may vanish and leave its note behind.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.assignment import Assignment
from phyllome_seat.model.devices import BeforeBind, Host, PciDevice
from phyllome_seat.model.guest import is_ours
from phyllome_seat.model.step import BindDriver, ForgetDriver, NoteDriver, RestoreDriver
from phyllome_seat.model.value import replace

VFIO = "vfio-pci"


def plan_bind(assignment: Assignment, host: Host) -> list[BindDriver]:
    """Return a step for each function that is not yet held for a guest, override included: a
    driver alone is lost when the function is looked at again.
    """
    before = {item.address: item for item in host.before}
    steps = []
    for seat in assignment.seats:
        for device in (host.by_address[address] for address in seat.addresses):
            if (device.driver, device.override) == (VFIO, VFIO):
                continue
            kept = before.get(device.address)
            override = kept.override if kept and kept.id == device.id else device.override
            steps.append(
                BindDriver(
                    device.address,
                    device.id,
                    device.name,
                    was=device.driver,
                    override_was=override,
                    seat=seat.seat.name,
                )
            )
    return steps


def plan_restore(assignment: Assignment, host: Host) -> list[RestoreDriver]:
    """Return a step for each function that we bound and no seat wants; one that was given back by
    hand is among them, because what we keep about it must go too.
    """
    wanted = set(assignment.addresses)
    return [
        RestoreDriver(kept.address, kept.id, device.name, kept.driver, kept.override, kept.known)
        for kept in (*host.before, *_lost(host))
        if kept.address not in wanted and (device := _now(kept.address, kept.id, host))
    ]


def plan_notes(host: Host) -> tuple[NoteDriver | ForgetDriver, ...]:
    """Return what makes the notes fit the machine: lost ones anew, those of what is gone away.

    A note goes with its function: override and driver went with it, so what comes back to this
    place, be it the same, is the kernel's. Not while a write for it is under way.
    """
    pending = {item.address for item in host.pending}
    return (
        *(
            NoteDriver(b.address, b.id, host.by_address[b.address].name, b.seat)
            for b in _lost(host)
        ),
        *(
            ForgetDriver(b.address, b.id)
            for b in host.before
            if b.address not in pending and _now(b.address, b.id, host) is None
        ),
    )


def _lost(host: Host) -> tuple[BeforeBind, ...]:
    """Return a note for each function that we bound and whose note is gone.

    It is on vfio-pci, a guest's definition has it by our mark, and we once saw what hangs on its
    card: so it had a driver of the host's. Without the last it may have been on vfio-pci before us
    (bound at boot by its owner), where it is to stay.
    """
    noted = {item.address for item in host.before if _now(item.address, item.id, host)}
    seats = {
        hostdev.pci: guest.seat
        for guest in host.guests_known
        for hostdev in guest.hostdevs
        if guest.seat and hostdev.pci and not hostdev.live and is_ours(hostdev)
    }
    found = (host.by_address.get(address) for address in sorted(seats.keys() - noted))
    return tuple(
        BeforeBind(device.address, device.id, None, None, seats[device.address] or "", known=False)
        for device in found
        if device and device.driver == VFIO and _was_seen(device, host)
    )


def _was_seen(device: PciDevice, host: Host) -> bool:
    """Return whether something is remembered on a function of this card."""
    seen = {c.gpu for c in host.connectors if c.remembered}
    seen |= {u.port.controller for u in host.usb if u.port and u.remembered}
    card = replace(device.address, function=0)
    return any(replace(address, function=0) == card for address in seen)


def _now(address: PciAddress, identity: PciId, host: Host) -> PciDevice | None:
    """Return the function at an address if it is still the same."""
    device = host.by_address.get(address)
    return device if device and device.id == identity else None
