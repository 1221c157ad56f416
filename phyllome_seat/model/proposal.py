"""What a proposal is asked for, and what it is: the nouns of `propose`."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.errors import PhyllomeSeatError
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.seat import MonitorMatch, Wish
from phyllome_seat.model.value import dataclass

DISK_BYTES = 64 * 2**30


@dataclass(frozen=True, slots=True)
class SeatWishes:
    """What is known of one seat beforehand; whatever is not said is proposed.

    ``ports`` are where its keyboard, mouse and the rest are plugged in, ``controllers`` go to it
    whole. A ``is_virtual`` seat needs no card: its guest has virtio's. ``domain`` names a guest
    that exists; else one is created, with a disk of ``disk_bytes`` (None: without).
    """

    name: str
    gpu: PciAddress | None = None
    monitor: MonitorMatch | None = None
    ports: tuple[UsbPort, ...] = ()
    controllers: tuple[PciAddress, ...] = ()
    is_virtual: bool = False
    domain: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    firmware: str = "efi"
    disk_bytes: int | None = DISK_BYTES


@dataclass(frozen=True, slots=True)
class ProposalWishes:
    """What a proposal is asked for.

    ``count`` seats, at least those in ``seats``; None for those in ``seats``, or as many as fit
    where none is named. ``console``, ``host_cpus``, ``host_memory_bytes`` as in a seat file.
    """

    seats: tuple[SeatWishes, ...] = ()
    count: int | None = None
    console: str = "keep"
    host_cpus: int | None = None
    host_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ProposedSeat:
    """What one seat gets and what speaks against it, each a sentence; ``cpus`` are the host's CPU
    numbers that would be best for it.
    """

    name: str
    gets: tuple[str, ...]
    drawbacks: tuple[str, ...] = ()
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A whole seat file that `assign` accepts on the Host it was made for, and why it is so.

    ``points`` is the weight of all drawbacks. ``lost`` says in one sentence why a proposal is not
    the first, and is empty for the first. ``keeps`` is what stays for the host, ``gives_up`` what
    goes although it needs it; ``refused`` says of each card and controller that no seat can have,
    why; ``others`` names what would be better and `apply` cannot do.
    """

    wish: Wish
    seats: tuple[ProposedSeat, ...]
    points: int
    lost: str = ""
    keeps: tuple[str, ...] = ()
    gives_up: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class NoProposalError(PhyllomeSeatError):
    """Nothing that was asked for fits this machine.

    ``reasons`` say why, ``ways`` what would make it fit; each is one sentence.
    """

    def __init__(self, what: str, reasons: tuple[str, ...], ways: tuple[str, ...]) -> None:
        reasons = tuple(map(one_line, reasons))
        ways = tuple(map(one_line, ways))
        lines = [one_line(what), *(f"  {reason}" for reason in reasons)]
        lines += ["what would make it fit:", *(f"  {way}" for way in ways)] if ways else []
        super().__init__("\n".join(lines))
        self.reasons = reasons
        self.ways = ways

    @property
    def lines(self) -> tuple[str, ...]:
        """Return what does not fit, why, and the ways out, as they are printed."""
        return tuple(str(self).split("\n"))
