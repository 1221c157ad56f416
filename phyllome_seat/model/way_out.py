"""What would make it fit: each way is tried on a PC that has one thing more, and named if it helps.

Nothing is guessed from a list of cases. A question that nothing answers is asked again: with the
host's screen given up, with a seat that needs no card, with one card or one USB controller or one
keyboard more, with a card in a slot of its own, with the IOMMU on, with a seat less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from phyllome_seat.model.address import PciAddress, PciId, UsbPort
from phyllome_seat.model.devices import Connector, Host, InputDevice, PciDevice, UsbSocket
from phyllome_seat.model.proposal import ProposalWishes
from phyllome_seat.model.value import replace

_NEW = 0xFFFFFFFF  # the domain of what is not there, which no PC has
_USB_WORDS = (
    "put a USB card into a free slot (about 10 euro): a controller that goes whole to a seat"
)
_CARD_WORDS = "put one graphics card more into a slot wired to the processor, with a monitor on it"

Change = Callable[[Host, ProposalWishes], tuple[Host, ProposalWishes]]
Fits = Callable[[Host, ProposalWishes], bool]


def find_ways(host: Host, wishes: ProposalWishes, fits: Fits) -> tuple[str, ...]:
    """Return what would make `wishes` fit `host`, one sentence each, the cheapest first.

    Where no single thing would, all that is needed together, as the only way: everything is added,
    and then whatever it also fits without is taken out again, what costs most first.
    """
    single = tuple(_changes(host, wishes))
    ways = tuple(words for words, change in single if fits(*change(host, wishes)))
    if ways:
        return ways
    more = [*single, *_more(wishes)]
    if not fits(*_changed(host, wishes, more)):
        return ()
    for change in reversed(tuple(more)):
        rest = [other for other in more if other is not change]
        if fits(*_changed(host, wishes, rest)):
            more = rest
    counts: dict[str, int] = {}
    for words, _ in more:
        counts[words] = counts.get(words, 0) + 1
    each = [words if n == 1 else f"{words} ({n} of them)" for words, n in counts.items()]
    return ("all of this: " + "; and ".join(each),)


def _changed(
    host: Host, wishes: ProposalWishes, changes: Iterable[tuple[str, Change]]
) -> tuple[Host, ProposalWishes]:
    for _, change in changes:
        host, wishes = change(host, wishes)
    return host, wishes


def _changes(host: Host, wishes: ProposalWishes) -> Iterator[tuple[str, Change]]:
    if not host.groups:
        where = "the IOMMU is there but off" if host.iommu.firmware_tables else "no IOMMU is seen"
        yield (
            f"{where}: turn on VT-d (Intel) or AMD-Vi, also called IOMMU, in the BIOS, and "
            "intel_iommu=on on the kernel's command line; `phyllome-seat check` says how",
            _with_groups,
        )
    if wishes.console == "keep":
        yield (
            "give the host's own screen and keyboard up (`--console none`): it is then reached by "
            "SSH",
            lambda host, wishes: (host, replace(wishes, console="none")),
        )
    for seat in reversed([seat for seat in wishes.seats if not seat.is_virtual and not seat.gpu]):
        yield (
            f"let seat {seat.name} do without a card (`--seat {seat.name}:virtio`): enough for a "
            "Linux desktop",
            _virtual(seat.name),
        )
        break
    yield "plug in one keyboard more", _with_keyboard
    yield _USB_WORDS, _with_usb
    yield from _slots(host)
    yield _CARD_WORDS, _with_card
    if any(seat.monitor or seat.gpu for seat in wishes.seats):
        yield (
            "name no card and no monitor for the seats, and plug the monitors into the cards that "
            "are proposed then",
            _without_cards,
        )
    if any(seat.ports or seat.controllers for seat in wishes.seats):
        yield (
            "plug the seats' keyboards and mice into other sockets, those that are proposed where "
            "none is named",
            _without_places,
        )
    for fewer in range(len(wishes.seats) - 1, 0, -1):
        yield f"set up {fewer} of the seats", _first(fewer)


def _more(wishes: ProposalWishes) -> Iterator[tuple[str, Change]]:
    """Yield the same again for each further seat."""
    for _ in wishes.seats[1:]:
        yield _USB_WORDS, _with_usb
        yield _CARD_WORDS, _with_card


def _first(count: int) -> Change:
    return lambda host, wishes: (host, replace(wishes, seats=wishes.seats[:count]))


def _with_groups(host: Host, wishes: ProposalWishes) -> tuple[Host, ProposalWishes]:
    """As if each device had a group of its own, the best a board can do."""
    places: dict[tuple[int, int, int], int] = {}
    pci = tuple(replace(d, iommu_group=places.setdefault(_place(d), len(places))) for d in host.pci)
    return replace(host, pci=pci), wishes


def _place(device: PciDevice) -> tuple[int, int, int]:
    return device.address.domain, device.address.bus, device.address.device


def _slots(host: Host) -> Iterator[tuple[str, Change]]:
    """Yield what moving a card to a slot of its own would do, for each that shares its group."""
    for device in host.pci:
        if not device.is_gpu or device.address.bus == 0:
            continue
        place = _place(device)
        if any(_place(d) != place and not d.is_bridge for d in host.group_of(device.address)):
            yield (
                f"put card {device.address} ({device.name}) into another slot, one whose group is "
                "its own",
                _moved(device),
            )


def _moved(card: PciDevice) -> Change:
    def move(host: Host, wishes: ProposalWishes) -> tuple[Host, ProposalWishes]:
        free = max(host.groups, default=0) + 1
        pci = tuple(
            replace(d, iommu_group=free) if _place(d) == _place(card) else d for d in host.pci
        )
        return replace(host, pci=pci), wishes

    return move


def _virtual(name: str) -> Change:
    def let(host: Host, wishes: ProposalWishes) -> tuple[Host, ProposalWishes]:
        seats = tuple(
            replace(s, is_virtual=True, gpu=None, monitor=None) if s.name == name else s
            for s in wishes.seats
        )
        return host, replace(wishes, seats=seats)

    return let


def _without_cards(host: Host, wishes: ProposalWishes) -> tuple[Host, ProposalWishes]:
    seats = tuple(replace(seat, gpu=None, monitor=None) for seat in wishes.seats)
    return host, replace(wishes, seats=seats)


def _without_places(host: Host, wishes: ProposalWishes) -> tuple[Host, ProposalWishes]:
    seats = tuple(replace(seat, ports=(), controllers=()) for seat in wishes.seats)
    return host, replace(wishes, seats=seats)


def _with_card(host: Host, wishes: ProposalWishes) -> tuple[Host, ProposalWishes]:
    place, group = _free(host)
    card = PciDevice(place, PciId(0x1002, 0x7480), 0x030000, driver="amdgpu", iommu_group=group)
    shows = Connector(place, "DP-1", connected=True)
    return replace(host, pci=(*host.pci, card), connectors=(*host.connectors, shows)), wishes


def _with_usb(host: Host, wishes: ProposalWishes) -> tuple[Host, ProposalWishes]:
    place, group = _free(host)
    controller = PciDevice(
        place, PciId(0x1B73, 0x1100), 0x0C0330, driver="xhci_hcd", iommu_group=group
    )
    sockets = tuple(UsbSocket((UsbPort(place, "usb2", (n,)),)) for n in (1, 2))
    return replace(host, pci=(*host.pci, controller), sockets=(*host.sockets, *sockets)), wishes


def _with_keyboard(host: Host, wishes: ProposalWishes) -> tuple[Host, ProposalWishes]:
    """One on the board itself, which stays whatever goes."""
    return replace(host, inputs=(*host.inputs, InputDevice("", "", ("keyboard",), 0x11))), wishes


def _free(host: Host) -> tuple[PciAddress, int | None]:
    """Return a place and a group where nothing is; no group where the PC has none."""
    used = sum(device.address.domain == _NEW for device in host.pci)
    group = max(host.groups) + 1 if host.groups else None
    return PciAddress(_NEW, used, 0, 0), group
