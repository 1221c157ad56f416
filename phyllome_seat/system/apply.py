"""A plan's steps, done one by one, each read back before the next.

Each step may be done again where it is done already, and what a change destroys is kept before the
change: killed anywhere, the same plan made anew and applied again ends the same.
"""

from __future__ import annotations

import os
import stat

from phyllome_seat.model.errors import ApplyError, ReadBackError
from phyllome_seat.model.step import (
    ArmReturn,
    BindDriver,
    CreateDisk,
    CreateGuest,
    EditGuest,
    ForgetDriver,
    NoteDriver,
    ReloadUdev,
    RemoveFile,
    RemoveGuest,
    ResizeGuest,
    RestoreDriver,
    RestoreGuest,
    Step,
    WriteFile,
)
from phyllome_seat.system.bind import UNBIND_S, bind, check, forget, note, restore, wait_pending
from phyllome_seat.system.files import read_file, remove_file, write_file
from phyllome_seat.system.state import HEADER, LIB, RUN, State
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from phyllome_seat.model.devices import Host
    from phyllome_seat.system.guests import Libvirt


def prepare(sysfs: Sysfs, state: State, *, unbind_s: float = UNBIND_S) -> None:
    """Clear up after a run that was killed; the lock must be held, and the machine not yet scanned.

    PendingError where the kernel has not finished after `unbind_s` seconds what that run began.
    """
    state.sweep()
    wait_pending(sysfs, unbind_s)
    state.drop_finished()


def apply(
    steps: tuple[Step, ...],
    sysfs: Sysfs,
    state: State,
    libvirt: Libvirt | None = None,
    *,
    host: Host | None = None,
    say: Callable[[str], None] = lambda _: None,
    unbind_s: float = UNBIND_S,
) -> None:
    """Do `steps` in their order, saying each before it is begun; the lock must be held.

    What is in sight on `host`, from which the plan was made, is remembered first: a device that is
    bound shows nothing any more.

    *errors*: ApplyError. Raised before anything is written where a function is not what it was
    planned to be or is in use (HeldError), where a new guest's disk is in use, or where a driver
    write of an earlier run is not yet finished (PendingError); else by the step that failed, and no
    later one is begun.
    """
    prepare(sysfs, state, unbind_s=unbind_s)
    for step in steps:
        if isinstance(step, (BindDriver, RestoreDriver)):
            check(step, sysfs)
        elif isinstance(step, CreateGuest):
            from phyllome_seat.system.apply_guest import check_disk

            check_disk(step, sysfs)
    if host is not None and steps:
        try:
            _remember(host, state)
        except OSError as error:  # comfort: a full disk must keep nobody from giving things back
            say(f"what is in sight now is not remembered: {error}")
    for step in steps:
        say(str(step))
        _do(step, sysfs, state, libvirt, unbind_s)


def _do(step: Step, sysfs: Sysfs, state: State, libvirt: Libvirt | None, unbind_s: float) -> None:
    match step:
        case WriteFile():
            _write_file(step, state.root)
        case RemoveFile():
            _remove_file(step, state.root)
        case ReloadUdev():
            from phyllome_seat.system.udev import reload_udev

            reload_udev(step.devices, sysfs)
        case BindDriver():
            bind(step, sysfs, state, unbind_s=unbind_s)
        case RestoreDriver():
            restore(step, sysfs, state, unbind_s=unbind_s)
        case NoteDriver():
            note(step, sysfs, state)
        case ForgetDriver():
            forget(step, sysfs, state)
        case CreateDisk():
            from phyllome_seat.system.disk import create_disk

            create_disk(step.path, step.size_bytes)
        case ArmReturn():
            from phyllome_seat.system.console_return import arm

            arm(step.timeout_s)
        case CreateGuest() | EditGuest() | ResizeGuest() | RestoreGuest() | RemoveGuest():
            from phyllome_seat.system.apply_guest import do_guest

            if libvirt is None:
                hint = "start libvirt (`systemctl start libvirtd`), then try again"
                raise ApplyError(f"cannot {step}: libvirt does not answer", hint=hint)
            do_guest(step, sysfs, state, libvirt)


def _remember(host: Host, state: State) -> None:
    from phyllome_seat.model.seen import parse_seen, remember, render_seen

    old = state.read_seen()
    new = render_seen(remember(parse_seen(old), host))
    if new != old:
        state.write_seen(new)


def _write_file(step: WriteFile, root: str) -> None:
    path = _ours(step.path, root)
    content = step.content.encode()
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_file(path, content, step.mode)
        found = read_file(path)
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        raise ApplyError(f"{step.path}: {error.strerror}") from error
    if (found, mode) != (content, step.mode):
        raise ReadBackError(step.path, "what we wrote", "something else")


def _remove_file(step: RemoveFile, root: str) -> None:
    path = _ours(step.path, root)
    try:
        remove_file(path)
    except OSError as error:
        raise ApplyError(f"{step.path}: {error.strerror}") from error
    if os.path.lexists(path):
        raise ReadBackError(step.path, "gone", "there")


def _ours(path: str, root: str) -> str:
    """Return the real path of a file that is ours or not there; ApplyError for another's."""
    real = os.path.join(root, path.lstrip("/"))
    try:
        content = read_file(real)
    except OSError as error:
        raise ApplyError(f"{path}: {error.strerror}") from error
    in_our_folder = path.lstrip("/").startswith((f"{LIB}/", f"{RUN}/"))
    if content is not None and not in_our_folder and not content.startswith(HEADER.encode()):
        hint = "move it away, then try again"
        raise ApplyError(f"{path} was not written by phyllome-seat; it is left as it is", hint=hint)
    return real
