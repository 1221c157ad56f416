"""Each command as one call: lock, scan, assign, plan, apply; nothing is decided here.

Whoever looks first and changes then does both under the lock, so that what was decided still
holds when it is done. All of it is about this machine: ``/`` and the libvirt at `uri`.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial

from phyllome_seat.model.assign import assign
from phyllome_seat.model.errors import ApplyError, AssignmentError, UnknownSeatError
from phyllome_seat.model.guest_usb import find_left_behind
from phyllome_seat.model.lend import NOTHING_SAID
from phyllome_seat.model.plan import find_left, plan, plan_revert
from phyllome_seat.model.protect import protect
from phyllome_seat.model.reconcile import why_not_restored
from phyllome_seat.model.step import ArmReturn, AttachUsb, BindDriver
from phyllome_seat.system.apply import apply, prepare
from phyllome_seat.system.connection import GuestError, NoLibvirtError
from phyllome_seat.system.give_back import give_back
from phyllome_seat.system.limit import NoAnswerError
from phyllome_seat.system.scan import scan
from phyllome_seat.system.scan_usb import read_usb
from phyllome_seat.system.settle_usb import settle_usb
from phyllome_seat.system.state import State
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from phyllome_seat.model.assignment import Assignment
    from phyllome_seat.model.devices import Guest, Host
    from phyllome_seat.model.seat import Seat, Wish
    from phyllome_seat.model.step import Step
    from phyllome_seat.system.guests import Libvirt
    from phyllome_seat.system.settle_usb import Settled

SYSTEM = "qemu:///system"


def apply_wish(
    wish: Wish,
    *,
    say: Callable[[str], None],
    agree: Callable[[str], bool],
    lock_wait_s: float = 10.0,
    uri: str = SYSTEM,
) -> int:
    """Set this machine up as `wish` says; return how many steps that took, 0 when it was.

    `agree` is asked before the host's last screen or keyboard goes and nobody could reach the host
    another way. *errors*: AssignmentError, ApplyError, LockedError.
    """
    sysfs, state = Sysfs("/"), State("/")
    with state.lock("phyllome-seat apply", lock_wait_s), connect(uri) as libvirt:
        prepare(sysfs, state)
        host = _look(sysfs, libvirt)
        assignment = assign(wish, host)
        steps = plan(assignment, host)
        for seat in assignment.seats if steps else ():
            for note in seat.notes:
                say(f"seat {seat.seat.name}: {note}")
        _ask(steps, host, agree)
        apply(steps, sysfs, state, libvirt, host=host, say=say)
        if steps:
            _check_done(plan(assignment_of(wish, after := _look(sysfs, libvirt)), after))
    return len(steps)


def assignment_of(wish: Wish, host: Host) -> Assignment:
    """Return `assign`'s answer for a machine on which it was just carried out."""
    try:
        return assign(wish, host)
    except AssignmentError as error:
        raise ApplyError(
            f"after the last step the machine no longer fits the seat file: {error}",
            hint="`phyllome-seat revert` gives everything back",
        ) from error


def _check_done(left: tuple[Step, ...]) -> None:
    """Apply is not done until the plan is empty."""
    if left:
        raise ApplyError(
            "after the last step the machine still differs: " + "; ".join(map(str, left)),
            hint="run `phyllome-seat apply` again; if this stays, `phyllome-seat revert`",
        )


def _ask(steps: tuple[Step, ...], host: Host, agree: Callable[[str], bool]) -> None:
    armed = next((step for step in steps if isinstance(step, ArmReturn)), None)
    if armed is None:
        return
    is_cut = _takes_network(steps, host)  # SSH comes in by it
    if (host.console.ssh and not is_cut) or host.console.serial:
        return
    if is_cut:
        loss = "its way to the network, and no serial login is up"
        none, start = "its network goes and no serial login is up", "keep the network"
    else:
        loss = "its last screen or keyboard, and neither an SSH server nor a serial login is up"
        none = "no SSH server and no serial login is up"
        start = "start one (`systemctl start ssh`)"
    back = f"you can reach it again in {armed.timeout_s} s only, when everything comes back."
    question = f"the host loses {loss}: {back}"
    if not agree(question):
        raise ApplyError(
            f"the host could not be reached any more: {none}",
            hint=f"{start}, or run this in a terminal and type yes",
        )


def _takes_network(steps: tuple[Step, ...], host: Host) -> bool:
    """Return whether functions that the host's network needs go by these steps."""
    going = [step.address for step in steps if isinstance(step, BindDriver)]
    needed = protect(host).pci if going else {}
    return any(reason.kind == "network" for a in going for reason in needed.get(a, ()))


def revert(
    *,
    say: Callable[[str], None],
    lock_wait_s: float = 10.0,
    stop_first_s: float | None = None,
    uri: str = SYSTEM,
) -> tuple[int, tuple[str, ...]]:
    """Give everything back; return how many steps that took, and what could not be given back.

    Needs no seat file. With libvirt down, what does not need it is given back all the same.
    With `stop_first_s`, guests of seats are given so many seconds to shut down, then their power
    is cut; without, one that runs is a refusal.
    """
    from phyllome_seat.system.console_return import disarm, is_armed
    from phyllome_seat.system.service import remove_service

    sysfs, state = Sysfs("/"), State("/")
    with state.lock("phyllome-seat revert", lock_wait_s), connect(uri) as connected:
        prepare(sysfs, state)
        libvirt = connected
        try:
            if libvirt is not None and stop_first_s is not None:
                _stop_ours(libvirt, stop_first_s, say)
            host = _look(sysfs, libvirt)
        except (NoAnswerError, NoLibvirtError) as error:  # as where it is down
            say(f"{error}: what needs libvirt is not given back")
            libvirt = None
            host = _look(sysfs, libvirt)
        steps = plan_revert(host)
        apply(steps, sysfs, state, libvirt, host=host, say=say)
        state.write_lending(NOTHING_SAID)
        if is_armed():
            disarm()
        left = find_left(_look(sysfs, libvirt))
    if remove_service():  # without the lock, which it may be waiting for
        say("remove phyllome-seat-watch.service")
        return len(steps) + 1, left
    return len(steps), left


def _stop_ours(libvirt: Libvirt, timeout_s: float, say: Callable[[str], None]) -> None:
    """Stop each guest of a seat, with force in the end, and give back what it leaves."""
    running = [guest for guest in libvirt.read_guests() if guest.is_running]
    for guest in [guest for guest in running if guest.seat is not None]:
        try:
            _stop(libvirt, [(f"seat {guest.seat}", guest.name)], timeout_s, True, say)
        except GuestError as error:  # the others are stopped all the same
            say(str(error))
            continue
        running.remove(guest)
        _give_back([guest], running)


def start_seats(
    wish: Wish,
    names: Sequence[str] = (),
    *,
    say: Callable[[str], None],
    lock_wait_s: float = 10.0,
    uri: str = SYSTEM,
) -> None:
    """Start the guests of these seats, of all without names, with what is plugged in their ports.

    *errors*: ApplyError where `apply` has something to do first, or a guest does not start.
    """
    sysfs, state = Sysfs("/"), State("/")
    seats = chosen(wish, names)
    with state.lock("phyllome-seat start", lock_wait_s), connect(uri) as libvirt:
        prepare(sysfs, state)
        host = _look(sysfs, libvirt)
        assignment = assign(wish, host, plugged=False)
        if steps := plan(assignment, host):
            raise ApplyError(
                f"the seats are not set up: {len(steps)} steps to do, the first: {steps[0]}",
                hint="run `phyllome-seat apply` first",
            )
        for seat in assignment.seats:
            if seat.seat in seats and seat.seat.guest_name:

                def settle(name: str = seat.seat.guest_name) -> Settled:
                    return settle_usb(wish, sysfs, state, needed(libvirt), guest=name)

                _tell_saved(seat.seat.guest_name, assignment, host, settle)
                start = partial(needed(libvirt).start, seat.seat.guest_name)
                _start(seat.seat.name, seat.seat.guest_name, start, settle, say)


def _tell_saved(
    name: str, assignment: Assignment, host: Host, settle: Callable[[], Settled]
) -> None:
    """Have a saved guest's state know where what it had is now.

    *errors*: ApplyError where it would not be restored, or would take what the host needs.
    """
    guest = next((g for g in host.guests_known if g.name == name), None)
    if guest is None or guest.is_running or not guest.saved:
        return
    hint = f"cure that, or throw away what ran: `virsh managedsave-remove {name}`"
    if words := why_not_restored(guest, assignment, host):
        raise ApplyError(f"guest {name}: was saved {' and '.join(words)}", hint=hint)
    if failed := settle().failed:
        raise ApplyError(f"guest {name}: {failed[0]}")


def _start(
    seat: str,
    name: str,
    start: Callable[[Callable[[], None]], bool],
    settle: Callable[[], Settled],
    say: Callable[[str], None],
) -> None:
    """Start a guest with what its seat is to have of USB; what cannot be had stops no start."""
    was_running = start(lambda: _say_usb(seat, settle(), say))
    if was_running:
        _say_usb(seat, settle(), say)
    say(f"seat {seat}: guest {name} {'runs already' if was_running else 'started'}")


def _say_usb(seat: str, settled: Settled, say: Callable[[str], None]) -> None:
    for kept in settled.kept:
        if kept.seat == seat and kept.kind != "hub":
            say(f"seat {seat}: without {kept}")
    for failed in settled.failed:
        say(f"seat {seat}: {failed}")
    for step in settled.done:
        if isinstance(step, AttachUsb):
            device = step.device
            say(f"seat {seat}: with {device.name} ({device.id} in {device.port})")


def stop_seats(
    wish: Wish,
    names: Sequence[str] = (),
    *,
    say: Callable[[str], None],
    timeout_s: float = 60.0,
    force: bool = False,
    uri: str = SYSTEM,
) -> tuple[str, ...]:
    """Ask the guests of these seats to shut down; return the seats whose did not.

    Each has `timeout_s` seconds; with `force` its power is then cut.
    """
    seats = chosen(wish, names)
    with connect(uri) as connected:
        libvirt = needed(connected)
        running = {guest.name: guest for guest in libvirt.read_guests() if guest.is_running}
        wanted = [(f"seat {s.name}", s.guest_name) for s in seats if s.guest_name in running]
        if not wanted:
            say("nothing to do: no guest of these seats runs")
        still = _stop(libvirt, wanted, timeout_s, force, say)
        stopped = [running.pop(name) for seat, name in wanted if name and seat not in still]
        _give_back(stopped, running.values())
        return still


def _give_back(stopped: Iterable[Guest], running: Collection[Guest]) -> None:
    """Have the host's drivers take what guests left that did not end by themselves."""
    usb, _ = read_usb(sysfs := Sysfs("/"))
    for guest in stopped:
        for device in find_left_behind(guest, usb, running):
            give_back(device, sysfs)


def _stop(
    libvirt: Libvirt,
    guests: Sequence[tuple[str, str | None]],
    timeout_s: float,
    force: bool,
    say: Callable[[str], None],
) -> tuple[str, ...]:
    """Shut guests down one after the other; return the seats whose did not stop in time."""
    still = []
    for seat, name in guests:
        assert name is not None
        if libvirt.stop(name, timeout_s, force=force):
            say(f"{seat}: guest {name} stopped")
        else:
            still.append(seat)
            say(
                f"{seat}: guest {name} did not stop within {timeout_s:g} s: "
                "shut it down from inside, or use --force"
            )
    return tuple(still)


def _look(sysfs: Sysfs, libvirt: Libvirt | None) -> Host:
    return scan(sysfs, guests=libvirt.read_guests if libvirt else None)


def needed(libvirt: Libvirt | None) -> Libvirt:
    """Return libvirt where it is needed; ApplyError where it does not answer."""
    if libvirt is None:
        raise ApplyError(
            "libvirt does not answer", hint="`systemctl start libvirtd` (or virtqemud)"
        )
    return libvirt


def chosen(wish: Wish, names: Sequence[str]) -> tuple[Seat, ...]:
    """Return these seats of the wish, all without names; UnknownSeatError for another name."""
    known = tuple(seat.name for seat in wish.seats)
    for name in names:
        if name not in known:
            from difflib import get_close_matches

            nearest = get_close_matches(name, known, n=1)
            raise UnknownSeatError(name, wish.file, known, *nearest)
    return tuple(seat for seat in wish.seats if seat.name in names or not names)


@contextmanager
def connect(uri: str) -> Iterator[Libvirt | None]:
    """Libvirt for a ``with``, None where it is not installed, not there or does not answer."""
    from phyllome_seat.system.connection import NoLibvirtError
    from phyllome_seat.system.guests import Libvirt
    from phyllome_seat.system.limit import NoAnswerError

    try:
        libvirt = Libvirt(uri).__enter__()
    except (NoLibvirtError, NoAnswerError):
        yield None
        return
    try:
        yield libvirt
    finally:
        libvirt.__exit__(None, None, None)
