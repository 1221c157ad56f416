"""The errors of the lab: a PC that cannot be described, built, started or spoken to."""

from __future__ import annotations

from phyllome_seat.model.errors import PhyllomeSeatError


class LabError(PhyllomeSeatError):
    """The lab's PC did not do what was asked of it."""


class DescriptionError(LabError):
    """A PC's description is wrong at one key."""

    exit_status = 2

    def __init__(self, file: str, key: str, expected: str, *, hint: str = "") -> None:
        super().__init__(f"{file}: {key}: {expected}" if key else f"{file}: {expected}", hint=hint)
        self.file = file
        self.key = key
        self.expected = expected


class MissingProgramError(LabError):
    """Programs the lab needs on this machine are not installed."""

    def __init__(self, programs: tuple[str, ...], packages: tuple[str, ...]) -> None:
        super().__init__(
            f"{', '.join(programs)}: not found on this machine",
            hint=f"apt-get install {' '.join(packages)}",
        )
        self.programs = programs
        self.packages = packages


class BuildError(LabError):
    """The system image could not be built; ``log`` is the tail of what the build printed."""

    def __init__(self, what: str, log: str) -> None:
        super().__init__(f"{what} failed; its last lines:\n{log}", hint="read the lines above")
        self.what = what
        self.log = log


class BootError(LabError):
    """The PC did not come up; ``serial`` is the tail of its serial console."""

    def __init__(self, what: str, serial: str, *, hint: str = "") -> None:
        last = f"the last lines on its serial console:\n{serial or '(nothing)'}"
        super().__init__(f"{what}; {last}", hint=hint)
        self.what = what
        self.serial = serial


class AgentError(LabError):
    """QEMU or the PC's guest agent refused a command or did not answer."""


class DiedError(AgentError):
    """The PC restarted or ended while nobody had asked it to."""


class GuestNotReadyError(LabError):
    """A guest in the PC did not say in time that it is ready."""


class CommandError(LabError):
    """A command in the PC ended with a status that was not 0."""

    def __init__(self, command: str, status: int, stdout: str, stderr: str) -> None:
        tail = "\n".join((stdout + stderr).splitlines()[-40:])
        super().__init__(f"`{command}` in the PC ended with {status}\n{tail}".rstrip())
        self.command = command
        self.status = status
        self.stdout = stdout
        self.stderr = stderr


class CommandTimeoutError(LabError):
    """A command in the PC did not end in time; it was killed."""

    def __init__(self, command: str, timeout_s: float) -> None:
        super().__init__(f"`{command}` in the PC did not end within {timeout_s:g} s and was killed")
        self.command = command
        self.timeout_s = timeout_s
