"""A proposal that says why: what each seat gets, what speaks against it, what the host keeps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.cores import render_cpus, share_cores
from phyllome_seat.model.devices import Host, InputDevice
from phyllome_seat.model.given_up import find_given_up, name_given_up
from phyllome_seat.model.keyboards import is_typed_on, placed_inputs
from phyllome_seat.model.match import label
from phyllome_seat.model.pool import Choice, Pool, is_within
from phyllome_seat.model.preference import Drawback
from phyllome_seat.model.proposal import Proposal, ProposalWishes, ProposedSeat
from phyllome_seat.model.proposal_wish import build_wish
from phyllome_seat.model.search import Found
from phyllome_seat.model.seat import PortMatch, Seat, Wish

_GIB = 2**30


def build_proposal(
    host: Host,
    wishes: ProposalWishes,
    found: Found,
    beside: Callable[[Choice, Choice], tuple[Drawback, ...]],
    refused: tuple[str, ...],
) -> Proposal:
    """Return the proposal that a way of the search is; `beside` are the drawbacks of pairs."""
    wish = name_given_up(host, build_wish(host, wishes, found.pairs))
    cpus = share_cores(host, tuple(card.node for card, _ in found.pairs), wishes.host_cpus)
    seats = tuple(
        ProposedSeat(
            seat.name,
            gets=(*_card_words(card), *place.gets, _guest_words(host, seat)),
            drawbacks=tuple(
                item.words for item in (*card.drawbacks, *place.drawbacks, *beside(card, place))
            ),
            cpus=mine,
        )
        for seat, (card, place), mine in zip(wish.seats, found.pairs, cpus, strict=True)
    )
    return Proposal(
        wish,
        seats,
        found.cost,
        keeps=tuple(_keeps(host, wish, found)),
        gives_up=tuple(given.words for given in find_given_up(host, wish)),
        refused=refused,
        others=tuple(_others(host, wish, seats)),
    )


def _card_words(card: Choice) -> tuple[str, ...]:
    if card.gpu is None:
        return ("no card: its guest has a virtio screen, which is seen in a viewer",)
    return card.gets


def _guest_words(host: Host, seat: Seat) -> str:
    new = seat.create
    if new is None and host.guests is None:
        return f"guest {seat.domain}, if there is one: libvirt was not asked"
    if new is None:
        return f"guest {seat.domain}, which exists"
    disk = f", {new.disk_bytes / _GIB:.3g} GiB of disk" if new.disk_bytes else ""
    size = f"{new.cpus} CPUs, {new.memory_bytes / _GIB:.3g} GiB of memory"
    return f"a new guest {new.name}: {size}{disk}"


def _keeps(host: Host, wish: Wish, found: Found) -> Iterator[str]:
    """Yield what stays for the host, and for what."""
    pool = Pool(host, keeps_console=False)
    gone = {a for pair in found.pairs for choice in pair for a in choice.functions}
    for device in host.pci:
        reasons = [] if device.is_bridge else list(pool.needed.pci.get(device.address, ()))
        own = [r.words for r in reasons if r.about is None and not r.waivable]
        if own:
            yield f"{label(device)}: {'; '.join(dict.fromkeys(own))}"
        elif device.is_gpu and device.address not in gone:
            shows = "shows the host's console" if device.address == host.console.gpu else "is free"
            yield f"card {label(device)}: {shows}"
    ports = _ports(wish)
    inputs = placed_inputs(host)
    keyboards = [i for i in inputs if is_typed_on(i) and not _is_gone(i, gone, ports)]
    if keyboards:
        names = dict.fromkeys(f"{i.name} ({i.node})" for i in keyboards)
        yield f"{'keyboards' if len(names) > 1 else 'keyboard'} {', '.join(names)}"
    memory = wish.host_memory_bytes
    cpus = f"{wish.host_cpus} CPUs" if wish.host_cpus else "what the guests leave of the CPUs"
    yield cpus + (f", {memory / _GIB:.3g} GiB of memory" if memory else "")


def _ports(wish: Wish) -> tuple[UsbPort, ...]:
    """Return the USB places that the seats' sockets are."""
    matches = [m for seat in wish.seats for m in seat.usb if isinstance(m, PortMatch)]
    usb2 = (UsbPort(m.controller, "usb2", m.usb2) for m in matches if m.usb2)
    usb3 = (UsbPort(m.controller, "usb3", m.usb3) for m in matches if m.usb3)
    return (*usb2, *usb3)


def _is_gone(
    keyboard: InputDevice, gone: Collection[PciAddress], ports: tuple[UsbPort, ...]
) -> bool:
    place = keyboard.usb
    if keyboard.pci in gone or (place and place.controller in gone):
        return True
    return place is not None and any(is_within(place, port) for port in ports)


def _others(host: Host, wish: Wish, seats: tuple[ProposedSeat, ...]) -> Iterator[str]:
    """Yield what would be better and `apply` cannot do yet."""
    for seat in seats:
        new = next((s.create for s in wish.seats if s.name == seat.name), None)
        if seat.cpus and not (new and new.pin):
            best = f"seat {seat.name}: CPUs {render_cpus(seat.cpus)} of the host would suit it best"
            why = "which keeps its own settings" if new is None else f"which has {new.cpus} CPUs"
            yield f"{best}; they are pinned for no guest {why}"
    for device in host.pci:
        if device.is_gpu and device.vfs_max:
            yield (
                f"card {device.address} could be shared by {device.vfs_max} seats (SR-IOV), which "
                "`apply` cannot set up"
            )
