"""Comparing and doing until nothing is left to do: for a start, for `attach` and `detach`.

The lock must be held. What fails is said and not tried again here: the service does, or the next
command.
"""

from __future__ import annotations

import time

from phyllome_seat.model.assign_usb import assign_usb
from phyllome_seat.model.reconcile import Kept, reconcile
from phyllome_seat.model.step import AttachUsb, DetachUsb
from phyllome_seat.model.value import dataclass
from phyllome_seat.system.scan import scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from phyllome_seat.model.devices import UsbDevice
    from phyllome_seat.model.reconcile import Reconciled
    from phyllome_seat.model.seat import Wish
    from phyllome_seat.model.step import UsbStep
    from phyllome_seat.system.guests import Libvirt
    from phyllome_seat.system.state import State
    from phyllome_seat.system.sysfs import Sysfs

_ROUNDS = 6  # a device goes from guest to guest in two; each round more is a change meanwhile


@dataclass(frozen=True, slots=True)
class Failed:
    """A step that libvirt did not do, and why."""

    step: UsbStep
    why: str

    def __str__(self) -> str:
        return f"{self.step}: {self.why}"


@dataclass(frozen=True, slots=True)
class Settled:
    """What it came to: what was done, what could not be, what stays and why."""

    done: tuple[UsbStep, ...]
    failed: tuple[Failed, ...]
    kept: tuple[Kept, ...]


def settle_usb(
    wish: Wish,
    sysfs: Sysfs,
    state: State,
    libvirt: Libvirt,
    *,
    say: Callable[[str], None] = lambda _: None,
    guest: str | None = None,
) -> Settled:
    """Make running guests have what their seats are to have; only the one named `guest`, if any."""
    done: list[UsbStep] = []
    failed: dict[object, Failed] = {}
    for _ in range(_ROUNDS):
        result = _compare(wish, sysfs, state, libvirt)
        steps = [
            step
            for step in result.steps
            if guest in (None, step.guest) and find_key(step) not in failed
        ]
        if not steps:
            break
        for step in steps:
            say(str(step))
            why = why_held(step, sysfs) or libvirt.do_usb(step)
            if why is None:
                done.append(step)
            else:
                failed[find_key(step)] = Failed(step, why)
    return Settled(tuple(done), tuple(failed.values()), result.kept)


def _compare(wish: Wish, sysfs: Sysfs, state: State, libvirt: Libvirt) -> Reconciled:
    lending = state.read_lending()
    host = scan(sysfs, guests=libvirt.read_guests)
    assignment, _ = assign_usb(wish, host)
    result = reconcile(assignment, host, lending, time.time())
    if result.lending != lending:
        state.write_lending(result.lending)
    return result


def why_held(step: UsbStep, sysfs: Sysfs) -> str | None:
    """Return why what a step attaches is in somebody's hands, None where it is not.

    A guest may name its disk by a link, a program opens it without a mount: what is open is asked.
    """
    if not isinstance(step, AttachUsb) or not step.device.may_store:
        return None
    from phyllome_seat.system.holders import find_usb_holders

    held = find_usb_holders(sysfs, step.device)
    return f"it is in use: {', '.join(held)}" if held else None


def find_key(step: UsbStep) -> tuple[object, ...]:
    """Return what tells a step from others although it has another alias the next time."""
    if isinstance(step, AttachUsb):
        return step.uuid, _number(step.device), step.device.id
    if isinstance(step, DetachUsb):
        return step.uuid, step.alias
    return step.uuid, *map(_number, step.devices)


def _number(device: UsbDevice) -> tuple[int, int]:
    return device.bus, device.number
