"""The steps of a plan: each is a value that says what it will do before anything is done.

A plan is a tuple of steps in the order they are to be taken. Printing it is the dry run;
`phyllome_seat.system.apply` carries the steps out, one by one, reading back after each.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.cores import render_cpus
from phyllome_seat.model.devices import UsbDevice
from phyllome_seat.model.seat import NewGuest
from phyllome_seat.model.value import dataclass


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write one of our own files whole (atomically), content and mode."""

    path: str
    content: str
    why: str
    mode: int = 0o644

    def __str__(self) -> str:
        return f"write {self.path} ({self.why})"


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove one of our own files."""

    path: str

    def __str__(self) -> str:
        return f"remove {self.path}"


@dataclass(frozen=True, slots=True)
class ReloadUdev:
    """Let udev read its rules again and look again at the devices below these PCI functions."""

    devices: tuple[PciAddress, ...]

    def __str__(self) -> str:
        below = ", ".join(str(address) for address in self.devices)
        return f"let udev read its rules again and look at what is below {below or 'no device'}"


@dataclass(frozen=True, slots=True)
class BindDriver:
    """Take one function from its driver and give it to vfio-pci, by address, identity checked.

    ``was`` is the driver it has now, None for none.
    """

    address: PciAddress
    id: PciId
    name: str
    was: str | None
    override_was: str | None
    seat: str
    driver: str = "vfio-pci"

    def __str__(self) -> str:
        now = f"now with {self.was}" if self.was else "no driver now"
        return f"bind {self.address} ({self.name}) to {self.driver} for seat {self.seat}; {now}"


@dataclass(frozen=True, slots=True)
class RestoreDriver:
    """Give one function back to the driver and override it had before us; to the kernel's own
    choice where that is not ``known``.
    """

    address: PciAddress
    id: PciId
    name: str
    driver: str | None
    override: str | None
    known: bool = True

    def __str__(self) -> str:
        to = self.driver or "no driver" if self.known else "the driver that the kernel chooses"
        return f"give {self.address} ({self.name}) back to {to}"


@dataclass(frozen=True, slots=True)
class NoteDriver:
    """Note that a function we bound had a driver of the host's that nobody knows any more."""

    address: PciAddress
    id: PciId
    name: str
    seat: str

    def __str__(self) -> str:
        return (
            f"note that {self.address} ({self.name}) was bound for seat {self.seat}: what it had "
            "before is lost, so the kernel chooses its driver when it is given back"
        )


@dataclass(frozen=True, slots=True)
class ForgetDriver:
    """Forget what a function had that is not there any more."""

    address: PciAddress
    id: PciId

    def __str__(self) -> str:
        return f"forget {self.address} ({self.id}): it is gone, nothing is to be given back to it"


@dataclass(frozen=True, slots=True)
class GuestPci:
    """A function as it is to stand in a guest's definition; functions of one ``unit`` share one
    PCI device in the guest, in this order.
    """

    address: PciAddress
    what: str  # "gpu", "sound", "usb": a word for the alias
    unit: int


@dataclass(frozen=True, slots=True)
class CreateDisk:
    """Create an empty disk image; an existing file is left as it is."""

    path: str
    size_bytes: int

    def __str__(self) -> str:
        size = _gib(self.size_bytes)
        return f"create disk {self.path} ({size}, grows as it is used) unless it is there"


@dataclass(frozen=True, slots=True)
class CreateGuest:
    """Define a new libvirt domain from the seat file, with the seat's devices in it."""

    seat: str
    guest: NewGuest
    pci: tuple[GuestPci, ...]

    def __str__(self) -> str:
        return (
            f"create guest {self.guest.name} for seat {self.seat}: {self.guest.cpus} CPUs"
            f"{f' on {_pins(self.guest.pin)}' if self.guest.pin else ''}, "
            f"{_gib(self.guest.memory_bytes)}, {devices(self.pci)}"
        )


@dataclass(frozen=True, slots=True)
class EditGuest:
    """Put the seat's devices into a domain that exists; the rest of its XML stays as it is."""

    seat: str
    name: str
    uuid: str
    pci: tuple[GuestPci, ...]
    takes_usb: bool = False  # gets a USB controller of ours where its own has too few ports

    def __str__(self) -> str:
        usb = ", ports for USB devices" if self.takes_usb else ""
        return f"edit guest {self.name} for seat {self.seat}: {devices(self.pci)}{usb}"


@dataclass(frozen=True, slots=True)
class ResizeGuest:
    """Give a domain that we created the memory, CPUs and pins the seat file says now.

    ``memory_was_bytes``, ``cpus_was`` and ``pin_was`` are those of its definition, which alone is
    changed: a guest that ``runs`` has the new ones when it is started next.
    """

    guest: NewGuest
    uuid: str
    memory_was_bytes: int
    cpus_was: int
    runs: bool = False
    pin_was: tuple[int, ...] = ()

    def __str__(self) -> str:
        new = self.guest
        changes = (
            ("memory", _gib(self.memory_was_bytes), _gib(new.memory_bytes)),
            ("CPUs", str(self.cpus_was), str(new.cpus)),
            ("pinned to", _pins(self.pin_was), _pins(new.pin)),
        )
        words = ", ".join(f"{what} {was} → {now}" for what, was, now in changes if was != now)
        later = "; it runs, so it has them from its next start on" if self.runs else ""
        return f"change guest {new.name}: {words}{later}"


@dataclass(frozen=True, slots=True)
class RestoreGuest:
    """Take what is ours out of a domain; what its owner changed since stays."""

    name: str
    uuid: str

    def __str__(self) -> str:
        return f"take our devices out of guest {self.name}"


@dataclass(frozen=True, slots=True)
class RemoveGuest:
    """Undefine a domain that we created; its disk stays."""

    name: str
    uuid: str

    def __str__(self) -> str:
        return f"remove guest {self.name} (we created it; its disk stays)"


@dataclass(frozen=True, slots=True)
class ArmReturn:
    """Before the host's console goes: a timer that gives it back unless confirmed in time."""

    timeout_s: int = 120

    def __str__(self) -> str:
        return (
            f"arm a timer: everything is given back in {self.timeout_s} s unless you run "
            "`phyllome-seat confirm`"
        )


@dataclass(frozen=True, slots=True)
class AttachUsb:
    """Put one USB device into a running guest, identity checked right before; live only."""

    guest: str
    uuid: str
    seat: str
    device: UsbDevice
    alias: str
    why: str

    def __str__(self) -> str:
        return f"attach {_usb(self.device)} to guest {self.guest} of seat {self.seat}: {self.why}"


@dataclass(frozen=True, slots=True)
class DetachUsb:
    """Take one USB device of ours out of a running guest, by its alias.

    ``bus`` and ``number`` are what the guest has, ``device`` what is there now: None where
    nothing is, or something else.
    """

    guest: str
    uuid: str
    seat: str
    alias: str
    bus: int
    number: int
    why: str
    device: UsbDevice | None = None

    def __str__(self) -> str:
        what = _usb(self.device) if self.device else f"USB {self.bus}:{self.number}"
        return f"detach {what} from guest {self.guest}: {self.why}"


@dataclass(frozen=True, slots=True)
class RenumberSaved:
    """Tell a guest's saved state the numbers that devices have now, so that it can be restored."""

    guest: str
    uuid: str
    seat: str
    devices: tuple[UsbDevice, ...]

    def __str__(self) -> str:
        where = ", ".join(map(_usb, self.devices))
        return f"tell the saved state of guest {self.guest} of seat {self.seat} about {where}"


Step = (
    WriteFile
    | RemoveFile
    | ReloadUdev
    | BindDriver
    | RestoreDriver
    | NoteDriver
    | ForgetDriver
    | CreateDisk
    | CreateGuest
    | EditGuest
    | ResizeGuest
    | RestoreGuest
    | RemoveGuest
    | ArmReturn
)
# Of `reconcile`: no plan has them, since guests come and go.
UsbStep = AttachUsb | DetachUsb | RenumberSaved


def devices(pci: tuple[GuestPci, ...]) -> str:
    """Return what a guest is given, in words."""
    return "with " + ", ".join(f"{p.address} ({p.what})" for p in pci) if pci else "no PCI device"


def find_going(step: UsbStep) -> tuple[UsbDevice, ...]:
    """Return the devices that leave the host with a step, or may once it is done."""
    match step:
        case AttachUsb(device=device):
            return (device,)
        case RenumberSaved(devices=devices):
            return devices
    return ()


def _usb(device: UsbDevice) -> str:
    return f"{device.port or device.sysname} ({device.name})"


def _pins(cpus: tuple[int, ...]) -> str:
    """Return the host's CPUs of a guest; -1 is one that its owner changed."""
    if -1 in cpus:
        return "others of its owner's"
    return f"host CPUs {render_cpus(cpus)}" if cpus else "none"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:g} GiB"
