"""The errors of phyllome-seat, grouped by who must act.

::

    PhyllomeSeatError
    ├── AddressError        an address or id that does not parse
    ├── EdidError           bytes that hold no usable EDID base block
    ├── HostFileError       a Host as JSON that does not parse
    ├── SeatFileError       edit the seat file
    ├── UnknownSeatError    name a seat that the seat file has
    ├── UnknownDeviceError  name one USB device that is plugged in
    ├── AssignmentError     move things: what the seats want does not fit this machine
    ├── ApplyError          the machine said no: read the log
    │   ├── PendingError    a write that the kernel has not finished
    │   ├── HeldError       somebody uses what is to be taken away
    │   ├── ReadBackError   done, but the machine says otherwise
    │   ├── ProgramError    a program we ran failed
    │   └── StateFileError  a file of ours that does not parse
    └── LockedError         another phyllome-seat is at work

Each error carries its facts and builds its own sentence: lower-case start, what it is about first.
``hint`` is the next thing to try. Only the command prints; the library raises.
"""

from __future__ import annotations


class PhyllomeSeatError(Exception):
    """Anything this library refuses or could not do; ``str()`` is one sentence for a person."""

    exit_status = 1  # what the command exits with: 1 the machine said no, 2 the input is wrong

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def lines(self) -> tuple[str, ...]:
        """Return its sentences: a line break inside one is no end of it, but some name's."""
        return (str(self),)


class AddressError(PhyllomeSeatError):
    """A text that is not the address or id it should be."""

    exit_status = 2

    def __init__(self, text: str, expected: str, *, hint: str = "") -> None:
        super().__init__(f"{text!r} is not {expected}", hint=hint)
        self.text = text
        self.expected = expected


class EdidError(PhyllomeSeatError):
    """Bytes without a usable EDID base block."""


class HostFileError(PhyllomeSeatError):
    """A Host as JSON that cannot be read back."""

    exit_status = 2


class SeatFileError(PhyllomeSeatError):
    """The seat file is wrong at one place; ``problems`` holds every place found, this one first."""

    exit_status = 2

    def __init__(
        self,
        file: str,
        line: int,
        key: str,
        expected: str,
        *,
        nearest: str = "",
        problems: tuple[SeatFileError, ...] = (),
    ) -> None:
        where = f"{file}:{line}: " + (f"{key}: " if key else "")
        super().__init__(where + expected, hint=f"did you mean {nearest}?" if nearest else "")
        self.file = file
        self.line = line
        self.key = key
        self.expected = expected
        self.nearest = nearest
        self.problems = problems or (self,)


class UnknownSeatError(PhyllomeSeatError):
    """A seat named on the command line that the seat file has not."""

    exit_status = 2

    def __init__(self, name: str, file: str, known: tuple[str, ...], nearest: str = "") -> None:
        there = f"it has {', '.join(known)}" if known else "it has no seat"
        super().__init__(
            f"seat {name} is not in {file}: {there}",
            hint=f"did you mean {nearest}?" if nearest else "",
        )
        self.name = name
        self.known = known


class UnknownDeviceError(PhyllomeSeatError):
    """A USB device named on the command line that is none, or several, of those plugged in."""

    exit_status = 2


class AssignmentError(PhyllomeSeatError):
    """What the seats want does not fit this machine; nothing was written.

    ``conflicts`` is every reason found, each one sentence with both names and the way out.
    """

    def __init__(self, conflicts: tuple[str, ...], *, hint: str = "") -> None:
        super().__init__("\n".join(conflicts), hint=hint)
        self.conflicts = conflicts

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the conflicts."""
        return self.conflicts


class ApplyError(PhyllomeSeatError):
    """A step did not do what it should, or was refused right before it was begun."""


class PendingError(ApplyError):
    """A write to sysfs that the kernel has not finished; no later step was begun."""

    def __init__(
        self,
        address: str,
        driver: str,
        pid: int,
        holders: tuple[str, ...],
        doing: str = "unbind from",
    ) -> None:
        held = f" (held by {', '.join(holders)})" if holders else ""
        super().__init__(
            f"{address}: {doing} {driver} pending{held}: the kernel waits for whoever uses it",
            hint="end that program, then run `phyllome-seat apply` again",
        )
        self.address = address
        self.driver = driver
        self.pid = pid
        self.holders = holders


class HeldError(ApplyError):
    """Somebody uses what is to be taken away; nothing was written for it.

    ``holders`` are one each: "pid 812 (wireplumber)", "mount at /mnt".
    """

    def __init__(self, address: str, name: str, holders: tuple[str, ...]) -> None:
        super().__init__(
            f"{address} ({name}) is in use by {', '.join(holders)}",
            hint="end that program, unmount that disk, or log out of the desktop; then try again",
        )
        self.address = address
        self.holders = holders


class ReadBackError(ApplyError):
    """A step was done and the kernel or a program took it, but the machine says otherwise."""

    def __init__(self, what: str, wanted: str, found: str, *, hint: str = "") -> None:
        super().__init__(f"{what} is {found}, not {wanted}, after it was set", hint=hint)
        self.wanted = wanted
        self.found = found


class ProgramError(ApplyError):
    """A program that could not be run, did not end in time or did not end well.

    ``output`` is what it wrote on standard error, or on standard output where that is empty.
    """

    def __init__(self, program: str, what: str, *, output: str = "", hint: str = "") -> None:
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
        super().__init__(f"{program} {what}" + (f": {last.strip()}" if last else ""), hint=hint)
        self.program = program
        self.output = output


class StateFileError(ApplyError):
    """A file of ours that holds what the machine was before, and does not parse."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(
            f"{path}: {what}",
            hint="look at it and repair it; what it remembers can be had nowhere else",
        )
        self.path = path


class LockedError(PhyllomeSeatError):
    """Another phyllome-seat holds the lock."""

    def __init__(self, holder: str, waited_s: float) -> None:
        super().__init__(
            f"{holder} is at work; waited {waited_s:.0f} s",
            hint="wait for it to end, then try again",
        )
        self.holder = holder
        self.waited_s = waited_s
