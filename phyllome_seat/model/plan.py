"""The difference between what seats want and what the machine is, as steps in their order.

Nothing differs: no steps. Each step is decided by what the Host says now, so a plan that was
broken off anywhere is completed by the next one. The order is one in which no moment is worse
than the one before: the way back is armed before the console goes; udev knows whose a device is
before it comes and goes with its driver; a guest gets devices when they are there to be had.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.assignment import Assignment
from phyllome_seat.model.devices import Host, InputDevice, PciDevice
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.plan_guests import find_in_use, plan_guests, plan_guests_back
from phyllome_seat.model.plan_rules import plan_rules
from phyllome_seat.model.rules import is_seat_id, render_rules
from phyllome_seat.model.step import ArmReturn, BindDriver, RestoreDriver, Step

VFIO = "vfio-pci"


def plan(assignment: Assignment, host: Host) -> tuple[Step, ...]:
    """Return the steps that make `host` what `assignment` says; empty when it is that already.

    A guest that libvirt was not asked about is planned as if it were not there yet, with an empty
    UUID where only libvirt knows it.

    *errors*: AssignmentError where a running guest has a device that must change hands.
    """
    bind = _bind(assignment, host)
    restore = _restore(set(assignment.addresses), host)
    _refuse_in_use(assignment, host, restore)
    return (
        *([ArmReturn()] if _console_goes(assignment, host, bind) else []),
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
    gone = [b for b in host.before if _now(b.address, b.id, host) is None]
    left = [
        f"{b.address}: {b.id} is not there any more, so nothing is given back to it" for b in gone
    ]
    if host.guests is None and host.kept_guests:
        kept = ", ".join(host.kept_guests)
        left.append(f"libvirt does not answer: guests still to be given back: {kept}")
    return tuple(left)


# -- drivers ---------------------------------------------------------------------------------------


def _bind(assignment: Assignment, host: Host) -> list[BindDriver]:
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


def _restore(wanted: set[PciAddress], host: Host) -> list[RestoreDriver]:
    """Return a step for each function that we bound and no seat wants; one that was given back by
    hand is among them, because what we keep about it must go too.
    """
    return [
        RestoreDriver(kept.address, kept.id, device.name, kept.driver, kept.override)
        for kept in host.before
        if kept.address not in wanted and (device := _now(kept.address, kept.id, host))
    ]


def _now(address: PciAddress, identity: object, host: Host) -> PciDevice | None:
    """Return the function at an address if it is still the same."""
    device = host.by_address.get(address)
    return device if device and device.id == identity else None


def _refuse_in_use(assignment: Assignment, host: Host, restore: list[RestoreDriver]) -> None:
    words = find_in_use(assignment, host, (step.address for step in restore))
    if words:
        raise AssignmentError(tuple(words), hint="stop these guests, then try again")


# -- the console -----------------------------------------------------------------------------------


def _console_goes(assignment: Assignment, host: Host, bind: list[BindDriver]) -> bool:
    """Return whether the host gives up its screen or its last keyboard by this plan."""
    if assignment.console != "none":
        return False
    leaving = {step.address for step in bind}
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
        or any(
            plugged and plugged.id == match.id and match.serial in (None, plugged.serial)
            for match in seat.devices
        )
        for seat in assignment.seats
    )
