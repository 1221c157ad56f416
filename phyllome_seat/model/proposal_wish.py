"""From what the search found to a whole wish: names, guests, CPUs and memory for each seat."""

from __future__ import annotations

from phyllome_seat.model.cores import share_cores
from phyllome_seat.model.devices import Host
from phyllome_seat.model.pins import give_cores
from phyllome_seat.model.pool import Choice
from phyllome_seat.model.pool_cards import find_monitor
from phyllome_seat.model.proposal import ProposalWishes, SeatWishes
from phyllome_seat.model.seat import NewGuest, PciMatch, PortMatch, Seat, UsbMatch, Wish
from phyllome_seat.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.search import Pick

IMAGES = "/var/lib/libvirt/images"
_GIB, _STEP = 2**30, 2**28  # shares are whole GiB, small ones quarters of it
_UNKNOWN_MEMORY, _UNKNOWN_CPUS = 4 * _GIB, 2
_NAMES = {1: ("left",), 2: ("left", "right"), 3: ("left", "middle", "right")}


def name_seats(wishes: ProposalWishes) -> tuple[SeatWishes, ...]:
    """Return the seats of `wishes`, those without a name named as they may stand on a desk."""
    known = [seat.name for seat in wishes.seats]
    count = max(wishes.count or 0, len(known))
    names = _NAMES.get(count, ()) or tuple(f"seat-{number}" for number in range(1, count + 1))
    names += tuple(f"seat-{number}" for number in range(1, 2 * count + 1))
    free = dict.fromkeys(name for name in names if name not in known)
    more = tuple(SeatWishes(name) for name in list(free)[: count - len(known)])
    if known:
        return (*wishes.seats, *more)
    return more


def guest_of(host: Host, seat: SeatWishes) -> tuple[str | None, str]:
    """Return the guest of a seat: the name of one that exists, or None; and what to call a new one.

    A guest we created for a seat of this name is its guest; another's name is not taken.
    """
    known = {guest.name: guest for guest in host.guests_known}
    own = known.get(seat.name)
    if seat.domain or (own and own.created):
        return seat.domain or seat.name, ""
    names = (seat.name, *(f"{seat.name}-{number}" for number in range(2, len(known) + 3)))
    return None, next(name for name in names if name not in known)


def build_wish(host: Host, wishes: ProposalWishes, pairs: Pick) -> Wish:
    """Return the wish that a way of the search is, the CPUs and the memory shared out."""
    cpus = share_cores(host, tuple(card.node for card, _ in pairs), wishes.host_cpus)
    sizes = _Sizes(host, wishes, cpus)
    seats = tuple(
        _seat(host, seat, (card, place), sizes, mine)
        for seat, (card, place), mine in zip(wishes.seats, pairs, cpus, strict=True)
    )
    wish = Wish(
        seats,
        console=wishes.console,
        host_cpus=sizes.host_cpus,
        host_memory_bytes=sizes.host_memory_bytes,
        file="",
    )
    return give_cores(host, wish)


class _Sizes:
    """How much of the PC each guest gets, and the host."""

    def __init__(
        self, host: Host, wishes: ProposalWishes, cpus: tuple[tuple[int, ...], ...]
    ) -> None:
        online = sum(cpu.online for cpu in host.cpus)
        given = sum(map(len, cpus))
        self.host_cpus = wishes.host_cpus
        if self.host_cpus is None and online > 1:
            self.host_cpus = online - given if given else 1
        self.host_cpus = self.host_cpus or None
        left = online - (self.host_cpus or 0)
        # where there are fewer cores than seats, they share them
        self.cpus = max(1, left // max(1, len(wishes.seats))) if online else _UNKNOWN_CPUS
        self.host_memory_bytes = wishes.host_memory_bytes
        self.memory_bytes = _UNKNOWN_MEMORY
        if host.memory:
            total = host.memory.total_kib * 1024
            if self.host_memory_bytes is None:
                self.host_memory_bytes = _GIB * (
                    1 if total < 8 * _GIB else max(2, total // (8 * _GIB))
                )
            said = sum(seat.memory_bytes or 0 for seat in wishes.seats if not seat.domain)
            unsaid = sum(not seat.memory_bytes for seat in wishes.seats if not seat.domain)
            free = max(0, total - self.host_memory_bytes - said)
            share = free // max(1, unsaid)
            step = _GIB if share >= 4 * _GIB else _STEP
            self.memory_bytes = max(_STEP, share // step * step)


def _seat(
    host: Host,
    wish: SeatWishes,
    pair: tuple[Choice, Choice],
    sizes: _Sizes,
    own_cpus: tuple[int, ...],
) -> Seat:
    card, place = pair
    domain, name = guest_of(host, wish)
    gpu = card.gpu
    usb: dict[UsbMatch, None] = dict.fromkeys((*card.usb, *place.usb))
    wholes = {match.address for match in usb if isinstance(match, PciMatch)} | set(card.functions)
    create = None
    if domain is None:
        cpus = wish.cpus or len(own_cpus) or sizes.cpus
        create = NewGuest(
            name,
            memory_bytes=wish.memory_bytes or sizes.memory_bytes,
            cpus=cpus,
            firmware=wish.firmware,
            disk_path=f"{IMAGES}/{name}.qcow2" if wish.disk_bytes else None,
            disk_bytes=wish.disk_bytes,
        )
    return Seat(
        wish.name,
        gpu=PciMatch(gpu.address, replace(gpu.id, subvendor=None, subdevice=None)) if gpu else None,
        monitor=(wish.monitor or find_monitor(host, gpu)) if gpu else None,
        usb=tuple(m for m in usb if not (isinstance(m, PortMatch) and m.controller in wholes)),
        domain=domain,
        create=create,
    )
