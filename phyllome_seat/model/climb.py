"""From an input device up to the IOMMU group, and what of that can go to a seat.

What may go is not decided here: each thing a seat file could name is put to `assign`, as the only
wish of a seat, and its refusals are the reasons.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciId, UsbPort, render_port_chain
from phyllome_seat.model.assign import assign
from phyllome_seat.model.devices import Host, InputDevice, PciDevice, UsbDevice
from phyllome_seat.model.errors import AssignmentError, PhyllomeSeatError
from phyllome_seat.model.keyboards import BUS_BLUETOOTH, find_radios
from phyllome_seat.model.match import label
from phyllome_seat.model.match_usb import find_peer, name_usb
from phyllome_seat.model.printable import printable
from phyllome_seat.model.seat import DeviceMatch, PciMatch, PortMatch, Seat, UsbMatch, Wish
from phyllome_seat.model.value import dataclass

# include/uapi/linux/input.h
_BUS_VIRTUAL, _BUS_I8042, _BUS_I2C = 0x06, 0x11, 0x18
_WIRED = {_BUS_I8042: "by PS/2", _BUS_I2C: "by I2C"}


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that a seat file could name, and what `assign` says to it.

    ``refused`` are its sentences, none where it may go. ``costs`` are what the host would lose,
    where it may go with `console: none` only. ``notes`` say what else goes with it.
    """

    match: UsbMatch
    refused: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool:
        """Whether it can go to a seat and the host loses nothing it needs."""
        return not self.refused and not self.costs


@dataclass(frozen=True, slots=True)
class Climb:
    """The way up from one input device.

    ``nodes`` are all of the same device, the one that was pressed first. ``ports`` are the socket:
    one a speed, as far as the kernel knows. ``hubs`` are those it is behind, the nearest first.
    ``others`` is what else is plugged into the controller now. ``verdict``: "controller" (all of
    it can go), "port" (the better choice, or the only one), "nothing". ``words`` are its
    sentences; ``offers`` what can be written into a seat file, the best first.
    """

    nodes: tuple[InputDevice, ...]
    device: UsbDevice | None
    ports: tuple[UsbPort, ...]
    hubs: tuple[UsbDevice, ...]
    controller: PciDevice | None
    others: tuple[UsbDevice, ...]
    verdict: str
    words: tuple[str, ...]
    offers: tuple[Offer, ...]


def climb(host: Host, node: str, seat: str = "this") -> Climb:
    """Return the way up from the evdev node ``event3``; PhyllomeSeatError when it has gone."""
    pressed = next((i for i in host.inputs if i.node == node and not i.remembered), None)
    if pressed is None:
        raise PhyllomeSeatError(f"{node} has gone: plug it in again, then try again")
    device = _find_usb(host, pressed)
    if device is None or device.port is None:
        words = (_no_way_up(host, pressed),)
        return Climb((pressed,), None, (), (), None, (), "nothing", words, ())
    nodes = tuple(i for i in host.inputs if i.usb == device.port and not i.remembered)
    first = (pressed, *(i for i in nodes if i != pressed))
    before = (_by_radio(device),) if pressed.bus_type == BUS_BLUETOOTH else ()
    return climb_usb(host, device, seat, nodes=first, before=before)


def climb_usb(
    host: Host,
    device: UsbDevice,
    seat: str = "this",
    *,
    nodes: tuple[InputDevice, ...] = (),
    before: tuple[str, ...] = (),
) -> Climb:
    """Return the way up from a USB device that has a place; `before` is said before the verdict."""
    port = device.port
    assert port is not None
    controller = host.by_address.get(port.controller)
    peer = find_peer(host, port)
    ports = tuple(sorted((port, *([peer] if peer else [])), key=lambda p: p.speed))
    plugged = {d.port: d for d in host.usb if d.port and not d.remembered}
    hubs = tuple(plugged[above] for above in _above(port) if above in plugged)
    others = tuple(
        other
        for place, other in plugged.items()
        if place.controller == port.controller and place not in ports and not other.is_hub
    )
    offers = offer(host, device, ports, controller, seat) if controller else ()
    typed_on = {i.usb for i in host.inputs if i.is_keyboard and not i.remembered}
    # one person has one keyboard: one more on the controller is most likely somebody else's
    is_shared = sum(d.port in typed_on for d in (*others, device)) > 1
    verdict, words = _judge(offers, others, seat, is_shared=is_shared)
    return Climb(
        nodes,
        device,
        ports,
        hubs,
        controller,
        others,
        verdict,
        (*_twins(host, device), *before, *words),
        tuple(sorted(_usable(offers), key=lambda o: _rank(o, verdict))),
    )


def offer(
    host: Host,
    device: UsbDevice,
    ports: tuple[UsbPort, ...],
    controller: PciDevice,
    seat: str = "this",
) -> tuple[Offer, ...]:
    """Return the controller, the port and the device as a seat file names them, each judged."""
    matches: list[UsbMatch] = [
        PciMatch(controller.address, plain_id(controller)),
        port_match(controller, ports),
    ]
    if device.serial and printable(device.serial) == device.serial:
        matches.append(DeviceMatch(device.id, device.serial))
    return tuple(_judged(host, match, seat) for match in matches)


def plain_id(device: PciDevice) -> PciId:
    """Return what a function is without its maker's board, as seat files name it."""
    return PciId(device.id.vendor, device.id.device)


def port_match(controller: PciDevice, ports: tuple[UsbPort, ...]) -> PortMatch:
    """Return how a seat file names a socket of a controller."""
    chains = {port.speed: port.ports for port in ports}
    return PortMatch(
        controller.address, plain_id(controller), chains.get("usb2", ()), chains.get("usb3", ())
    )


def _judged(host: Host, match: UsbMatch, seat: str) -> Offer:
    wish = Seat(seat, usb=(match,))
    try:
        (found,) = assign(Wish((wish,), file=""), host).seats
        return Offer(match, notes=found.notes)
    except AssignmentError as error:
        refused = error.conflicts
    try:
        (found,) = assign(Wish((wish,), console="none", file=""), host).seats
    except AssignmentError:
        return Offer(match, refused=refused)
    return Offer(match, costs=refused, notes=found.notes)


def _usable(offers: tuple[Offer, ...]) -> tuple[Offer, ...]:
    return tuple(offer for offer in offers if not offer.refused)


def _rank(offer: Offer, verdict: str) -> tuple[bool, bool, bool]:
    kind = PciMatch if verdict == "controller" else PortMatch
    return not offer.is_free, not isinstance(offer.match, kind), isinstance(offer.match, PciMatch)


def _judge(
    offers: tuple[Offer, ...], others: tuple[UsbDevice, ...], seat: str, *, is_shared: bool
) -> tuple[str, tuple[str, ...]]:
    """Return the verdict and its sentences."""
    if not offers:
        return "nothing", ("its controller is not on PCI: no seat can have it",)
    whole = next(o for o in offers if isinstance(o.match, PciMatch))
    port = next(o for o in offers if isinstance(o.match, PortMatch))
    carried = ", ".join(_at(other) for other in others)
    if whole.is_free and is_shared and port.is_free:
        return "port", (
            f"this port can go to {_seat(seat)}; the whole controller can only with what it also "
            f"carries: {carried}",
            *whole.notes,
        )
    if whole.is_free:
        along = f", with what it also carries: {carried}" if others else ""
        words = f"this whole controller can go to {_seat(seat)}{along}"
        return "controller", (words, *whole.notes, *port.costs, *port.refused)
    if port.is_free:
        also = f", because the controller also carries {carried}" if others else ""
        why = (*whole.refused, *whole.costs)
        return "port", (f"only this port can go to {_seat(seat)}{also}", *why)
    if port.refused and whole.refused:
        no = f"nothing of this can go to {_seat(seat)}"
        return "nothing", (no, *dict.fromkeys((*port.refused, *whole.refused)))
    costs = port.costs or whole.costs
    kind = "port" if not port.refused else "controller"
    return kind, (f"this {kind} can go to {_seat(seat)} only with `console: none`", *costs)


def _seat(name: str) -> str:
    return "a seat" if name == "this" else f"seat {name}"


def _at(device: UsbDevice) -> str:
    return f"{device.name} ({place_words(device.port)})" if device.port else device.name


def place_words(port: UsbPort) -> str:
    """Return a place on its controller in words: "USB 2 port 4.1"."""
    speed = "USB 2" if port.speed == "usb2" else "USB 3"
    return f"{speed} port {render_port_chain(port.ports)}"


def _twins(host: Host, device: UsbDevice) -> tuple[str, ...]:
    """Return a sentence where others of the same model are plugged in."""
    same = [
        other
        for other in host.usb
        if (other.id, other.name) == (device.id, device.name)
        and other != device
        and not other.remembered
        and other.port
    ]
    if not same:
        return ()
    places = ", ".join(str(other.port) for other in same)
    return (f"of the same model, and not this one: at {places}",)


def _above(port: UsbPort) -> tuple[UsbPort, ...]:
    """Return the places of the hubs above a port, the nearest first."""
    places = []
    above = port.parent
    while above:
        places.append(above)
        above = above.parent
    return tuple(places)


def _find_usb(host: Host, pressed: InputDevice) -> UsbDevice | None:
    """Return the USB device that an input device is, or whose radio it comes by."""
    if pressed.usb:
        return next((d for d in host.usb if d.port == pressed.usb and not d.remembered), None)
    adapters = find_radios(host)
    if pressed.bus_type == BUS_BLUETOOTH and len(adapters) == 1:
        return adapters[0]
    return None


def _by_radio(adapter: UsbDevice) -> str:
    return (
        f"it comes by Bluetooth: a seat gets the whole adapter, {name_usb(adapter)}, with all that "
        "is paired with it, and is paired again in its guest"
    )


def _no_way_up(host: Host, pressed: InputDevice) -> str:
    """Return why an input device hangs on no USB device, and what can be done."""
    what = pressed.name or pressed.node
    if pressed.bus_type == BUS_BLUETOOTH:
        adapters = find_radios(host)
        if not adapters:
            return f"{what} comes by a Bluetooth adapter that is not on USB: no seat can have it"
        places = " and ".join(map(name_usb, adapters))
        return (
            f"{what} comes by Bluetooth, by one of {places}: a seat gets a whole adapter; name its "
            "port"
        )
    if pressed.bus_type in _WIRED:
        how = _WIRED[pressed.bus_type]
        return f"{what} is wired to the board {how}: it stays the host's, a seat needs a USB one"
    if pressed.bus_type == _BUS_VIRTUAL and pressed.pci in host.by_address:
        function = label(host.by_address[pressed.pci])
        return f"{what} is {function}, no USB device: it stays the host's, a seat needs a USB one"
    if pressed.bus_type == _BUS_VIRTUAL or pressed.pci is None:
        return f"{what} is made by a program or is part of the board: press one on USB"
    return f"{what} hangs on no USB port: it stays the host's, a seat needs a USB one"
