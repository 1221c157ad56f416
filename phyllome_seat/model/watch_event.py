"""What a watch tells: each a value with its facts, whose text is a sentence for a log."""

from __future__ import annotations

from phyllome_seat.model.devices import UsbDevice
from phyllome_seat.model.lend import Lend
from phyllome_seat.model.reconcile import Kept
from phyllome_seat.model.step import AttachUsb, DetachUsb, RenumberSaved, UsbStep
from phyllome_seat.model.value import dataclass


@dataclass(frozen=True, slots=True)
class Watching:
    """It listens, has looked, and has done what was to be done at once; told once, at the start."""

    seats: tuple[str, ...]

    def __str__(self) -> str:
        return f"watching for {', '.join(f'seat {name}' for name in self.seats) or 'no seats'}"


@dataclass(frozen=True, slots=True)
class Attached:
    """A running guest has a device now; the step took ``took_s`` seconds."""

    step: AttachUsb
    took_s: float

    def __str__(self) -> str:
        return f"{self.step} (done in {self.took_s:.2f} s)"


@dataclass(frozen=True, slots=True)
class Detached:
    """A running guest has a device no more."""

    step: DetachUsb
    took_s: float

    def __str__(self) -> str:
        return f"{self.step} (done in {self.took_s:.2f} s)"


@dataclass(frozen=True, slots=True)
class Renumbered:
    """A guest's saved state knows what was plugged in again; the step took ``took_s`` seconds."""

    step: RenumberSaved
    took_s: float

    def __str__(self) -> str:
        return f"{self.step} (done in {self.took_s:.2f} s)"


@dataclass(frozen=True, slots=True)
class Refused:
    """A step that was not done; tried again after ``again_s`` seconds, not before something changes
    where that is None.
    """

    step: UsbStep
    why: str
    again_s: float | None

    def __str__(self) -> str:
        then = "given up" if self.again_s is None else f"again in {self.again_s:g} s"
        return f"{self.step}: {self.why}: {then}"


@dataclass(frozen=True, slots=True)
class Stayed:
    """A device in a seat's place that is not attached; told when that, or why, is new."""

    kept: Kept

    def __str__(self) -> str:
        return str(self.kept)


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A device that a guest whose QEMU was killed had kept from the host's drivers."""

    device: UsbDevice
    guest: str

    def __str__(self) -> str:
        where = f"{self.device.port or self.device.sysname} ({self.device.name})"
        return f"{where} is the host's again: guest {self.guest} left it without a driver"


@dataclass(frozen=True, slots=True)
class LendEnded:
    """A lend that is over."""

    lend: Lend

    def __str__(self) -> str:
        return f"{self.lend.port} ({self.lend.id}) is lent to seat {self.lend.seat} no more"


@dataclass(frozen=True, slots=True)
class Restless:
    """A device that comes and goes by itself; left alone until it was still for ``still_s``."""

    sysname: str
    still_s: float

    def __str__(self) -> str:
        return (
            f"USB {self.sysname} comes and goes over and over: given up until it was still for "
            f"{self.still_s:g} s, or is unplugged for 5 s (its cable, its hub's power, its driver?)"
        )


@dataclass(frozen=True, slots=True)
class GuestStarted:
    """A seat's guest runs."""

    guest: str
    seat: str

    def __str__(self) -> str:
        return f"guest {self.guest} of seat {self.seat} runs"


@dataclass(frozen=True, slots=True)
class GuestStopped:
    """A seat's guest is off, saved or crashed."""

    guest: str
    seat: str
    state: str

    def __str__(self) -> str:
        return f"guest {self.guest} of seat {self.seat} is {self.state}"


@dataclass(frozen=True, slots=True)
class LibvirtLost:
    """libvirt does not answer; it is asked again and again, ten seconds apart in the end."""

    why: str

    def __str__(self) -> str:
        return f"libvirt is gone: {self.why}"


@dataclass(frozen=True, slots=True)
class LibvirtBack:
    """libvirt answers, and all of it was read again."""

    def __str__(self) -> str:
        return "libvirt is there"


@dataclass(frozen=True, slots=True)
class UdevOverrun:
    """More came from udev than its buffer held: the whole machine was read again."""

    def __str__(self) -> str:
        return "udev sent more than could be taken: reading everything again"


@dataclass(frozen=True, slots=True)
class SeatFileRead:
    """The seat file has changed, and holds from now on."""

    path: str

    def __str__(self) -> str:
        return f"{self.path}: read again"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps it from comparing, or from using a new seat file: the old one holds."""

    why: str

    def __str__(self) -> str:
        return self.why


WatchEvent = (
    Watching
    | Attached
    | Detached
    | Renumbered
    | Refused
    | Stayed
    | GivenBack
    | LendEnded
    | Restless
    | GuestStarted
    | GuestStopped
    | LibvirtLost
    | LibvirtBack
    | UdevOverrun
    | SeatFileRead
    | Trouble
)
