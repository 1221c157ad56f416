"""The difference between what seats want and what the machine is, as steps in their order.

Nothing differs: no steps. Each step is decided by what the Host says now, so a plan that was
broken off anywhere is completed by the next one. The order is one in which no moment is worse
than the one before: the way back is armed before the console goes; udev knows whose a device is
before it comes and goes with its driver; a guest gets devices when they are there to be had.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.assignment import Assignment
from phyllome_seat.model.devices import Host, InputDevice
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.match_usb import is_named
from phyllome_seat.model.plan_drivers import VFIO, plan_bind, plan_notes, plan_restore
from phyllome_seat.model.plan_guests import find_in_use, plan_guests, plan_guests_back
from phyllome_seat.model.plan_rules import plan_rules
from phyllome_seat.model.protect import protect
from phyllome_seat.model.rules import is_seat_id, render_rules
from phyllome_seat.model.step import ArmReturn, BindDriver, RestoreDriver, Step


def plan(assignment: Assignment, host: Host) -> tuple[Step, ...]:
    """Return the steps that make `host` what `assignment` says; empty when it is that already.

    A guest that libvirt was not asked about is planned as if it were not there yet, with an empty
    UUID where only libvirt knows it.

    *errors*: AssignmentError where a running guest has a device that must change hands.
    """
    bind = plan_bind(assignment, host)
    restore = plan_restore(assignment, host)
    refuse_in_use(assignment, host, restore)
    return (
        *([ArmReturn()] if _console_goes(assignment, host, bind) else []),
        *plan_notes(host),
        *plan_guests_back(assignment, host),
        *plan_rules(render_rules(assignment, host), host),
        *restore,
        *bind,
        *plan_guests(assignment, host),
    )


def plan_revert(host: Host) -> tuple[Step, ...]:
    """Return the steps that give everything back, from the marks on the machine alone: no seat
    file is needed. Guests first, so that none starts with a device that is about to go.

    *errors*: AssignmentError where a guest of a seat is still running.
    """
    return plan(Assignment(), host)


def find_left(host: Host) -> tuple[str, ...]:
    """Return what `plan_revert` cannot give back on this host, one sentence each."""
    if host.guests is not None or not host.kept_guests:
        return ()
    kept = ", ".join(host.kept_guests)
    return (f"libvirt does not answer: guests still to be given back: {kept}",)


def refuse_in_use(assignment: Assignment, host: Host, restore: list[RestoreDriver]) -> None:
    """Raise AssignmentError where a running guest has a device that must change hands."""
    words = find_in_use(assignment, host, (step.address for step in restore))
    if words:
        raise AssignmentError(tuple(words), hint="stop these guests, then try again")


# -- the console -----------------------------------------------------------------------------------


def _console_goes(assignment: Assignment, host: Host, bind: list[BindDriver]) -> bool:
    """Return whether the host gives up a screen, its last keyboard or its network by this plan."""
    consent = assignment.consent
    if assignment.console != "none" and not (consent.functions or consent.ports or consent.devices):
        return False
    leaving = {step.address for step in bind}
    needed = protect(host).pci if consent.functions else {}
    if any(reason.kind == "network" for a in leaving for reason in needed.get(a, ())):
        return True
    screens = [d.address in leaving for d in host.pci if d.is_gpu and d.driver != VFIO]
    keyboards = [
        _leaves(keyboard, leaving, assignment, host)
        for keyboard in host.inputs
        if keyboard.is_keyboard and not keyboard.remembered and not is_seat_id(keyboard.seat)
    ]
    return (
        host.console.gpu in leaving
        or (bool(screens) and all(screens))
        or (bool(keyboards) and all(keyboards))
    )


def _leaves(
    device: InputDevice, leaving: set[PciAddress], assignment: Assignment, host: Host
) -> bool:
    """Return whether an input device goes to a seat: with its function, its port, or by name."""
    if device.pci in leaving:
        return True
    place = device.usb
    if place is None:
        return False
    plugged = next((u for u in host.usb if u.port == place and not u.remembered), None)
    return any(
        any(place == port or place.is_below(port) for port in seat.ports)
        or any(plugged and is_named(plugged, match) for match in seat.devices)
        for seat in assignment.seats
    )
