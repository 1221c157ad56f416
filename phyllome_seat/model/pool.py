"""What one PC has to give away: each thing a bit, each choice judged by the rules of `assign`.

The bits are functions, their IOMMU groups (a group is opened by one guest at a time), USB places,
keyboards and screens; two choices that share one cannot go to two seats.
"""

from __future__ import annotations

from collections.abc import Iterable

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.claim import Claim, Refusals, find_claim
from phyllome_seat.model.climb import plain_id
from phyllome_seat.model.conflict import refuse_groups, refuse_protected
from phyllome_seat.model.consent import Consent
from phyllome_seat.model.devices import Host, PciDevice, UsbDevice
from phyllome_seat.model.groups import find_blockers
from phyllome_seat.model.guest_conflict import refuse_held
from phyllome_seat.model.keyboards import is_typed_on, placed_inputs
from phyllome_seat.model.match import label
from phyllome_seat.model.preference import Drawback
from phyllome_seat.model.protect import Reason, can_show, protect
from phyllome_seat.model.seat import PciMatch, Seat, UsbMatch
from phyllome_seat.model.value import dataclass, replace

_NVME, _STORAGE = 0x0108, 0x01


@dataclass(frozen=True, slots=True)
class Choice:
    """A card, or USB places, that one seat could have; either part of it may be empty.

    ``usb`` is what to write beside the card, ``takes`` its bits in the `Pool`. ``only_with`` is the
    card it comes with, where it is nothing of its own. ``gets`` are sentences.
    """

    gpu: PciDevice | None = None
    usb: tuple[UsbMatch, ...] = ()
    functions: tuple[PciAddress, ...] = ()
    takes: int = 0
    node: int | None = None
    only_with: PciAddress | None = None
    drawbacks: tuple[Drawback, ...] = ()
    gets: tuple[str, ...] = ()
    cost: int = 0  # the points of the drawbacks

    @property
    def is_empty(self) -> bool:
        """Whether it takes nothing and comes with nothing."""
        return not self.takes and self.only_with is None


class Pool:
    """One PC as bits, and what of it the host needs with nothing leaving."""

    def __init__(self, host: Host, *, keeps_console: bool) -> None:
        self.host = host
        self.keeps_console = keeps_console
        self.needed = protect(host)
        self._bits: dict[object, int] = {}
        self.keyboards = tuple(i for i in placed_inputs(host) if is_typed_on(i))
        self.screens = {d.address for d in host.pci if d.is_gpu and can_show(host, d)}
        known = [p for socket in host.sockets for p in socket.ports]
        known += [device.port for device in host.usb if device.port]
        known += [i.usb for i in host.inputs if i.usb]
        self.places: dict[PciAddress, list[UsbPort]] = {}
        for port in dict.fromkeys(known):
            self.places.setdefault(port.controller, []).append(port)
        self.plugged: dict[PciAddress, list[UsbDevice]] = {}
        for device in host.usb:
            if device.port:
                self.plugged.setdefault(device.port.controller, []).append(device)

    def bit(self, *thing: object) -> int:
        """Return the bit of a thing."""
        return 1 << self._bits.setdefault(thing, len(self._bits))

    def function_bits(self, functions: Iterable[PciAddress]) -> int:
        """Return what goes with functions: their groups, and all that hangs on them."""
        gone, bits = set(functions), 0
        for address in gone:
            bits |= self.bit(address) | self.bit("group", self._group(address))
            if address in self.screens:
                bits |= self.bit("screen", address)
            for port in self.places.get(address, ()):
                bits |= self.bit(port)
        for keyboard in self.keyboards:
            if keyboard.pci in gone or (keyboard.usb and keyboard.usb.controller in gone):
                bits |= self.bit("keyboard", keyboard.node)
        return bits

    def _group(self, address: PciAddress) -> object:
        group = self.host.by_address[address].iommu_group
        return address if group is None else group

    def port_bits(self, ports: Iterable[UsbPort]) -> int:
        """Return what goes with USB places: all that is behind them."""
        bits = 0
        for port in ports:
            bits |= self.bit(port)
            for place in self.places.get(port.controller, ()):
                if place.is_below(port):
                    bits |= self.bit(place)
            for keyboard in self.keyboards:
                if keyboard.usb and is_within(keyboard.usb, port):
                    bits |= self.bit("keyboard", keyboard.node)
        return bits

    def keep(self) -> tuple[int, ...]:
        """Return the sets of bits of which one must stay: a screen and a keyboard for the host."""
        if not self.keeps_console:
            return ()
        screens = sum(self.bit("screen", address) for address in self.screens)
        keyboards = sum(self.bit("keyboard", keyboard.node) for keyboard in self.keyboards)
        return tuple(bits for bits in (screens, keyboards) if bits)

    def close(self, seat: Seat) -> tuple[Seat, Claim]:
        """Return a wish with the USB controllers that its IOMMU groups force along, and its claim:
        where something else blocks a group, as far as that goes.
        """
        while True:
            claim = find_claim(self.host, seat, Refusals(""))
            blockers = self.blockers(claim)
            if not blockers or not all(b.is_usb_controller for b in blockers):
                return seat, claim
            more = tuple(PciMatch(b.address, plain_id(b)) for b in blockers)
            seat = replace(seat, usb=(*seat.usb, *more))

    def blockers(self, claim: Claim) -> tuple[PciDevice, ...]:
        """Return what stands in the way of the groups of a claim."""
        found = {
            blocker: None
            for address in claim.functions
            for blocker in find_blockers(self.host, address, claim.functions)
        }
        return tuple(found)

    def judge(self, claim: Claim, seat: Seat) -> tuple[str, ...]:
        """Return why no seat can have what `claim` holds, whatever becomes of the console; nothing
        where one can. As in `assign`, rule by rule, for one seat.
        """
        refusals = Refusals("")
        find_claim(self.host, seat, refusals)
        refuse_groups(self.host, (claim,), self.needed, refusals)
        consent = Consent(console="none")
        refuse_protected(self.host, (claim,), self.needed, consent, refusals)
        refuse_held(self.host, (claim,), refusals)
        return tuple(refusals.sentences)

    def costs_console(self, device: PciDevice, functions: Iterable[PciAddress]) -> str:
        """Return in one plain sentence how the console would go with `device`; '' where it stays.

        With the group of the card that shows it, though nothing stands in that group's way.
        """
        gpu = self.host.console.gpu
        console = self.host.by_address.get(gpu) if gpu else None
        if console is None or not self.keeps_console:
            return ""
        if self._group(console.address) not in {self._group(address) for address in functions}:
            return ""
        what = f"{_kind(device)} {device.address} ({device.name})"
        if device == console:
            return f"{what} shows the host's console"
        return f"{what} shares group {device.iommu_group} with {self.plain(console)}"

    def refusal(self, claim: Claim, device: PciDevice, sentences: tuple[str, ...]) -> str:
        """Return in one plain sentence why `device` cannot go, from what `judge` said."""
        what = f"{_kind(device)} {device.address} ({device.name})"
        group = device.iommu_group
        if group is not None and (blockers := self.blockers(claim)):
            needed = next((b for b in blockers if self._own_reasons(b)), blockers[0])
            return f"{what} shares group {group} with {self.plain(needed)}"
        for address in claim.functions:
            for reason in self.fixed(address):
                there = "" if address == device.address else f" comes with {address}, which"
                return f"{what}{there} {reason.words}"
        said = sentences[0].partition(", or write `")[0]  # what a proposal does not write
        return said.rpartition(": ")[0] or said

    def plain(self, device: PciDevice) -> str:
        """Return a function as the person at this PC would call it."""
        names = {"disk": _disk(device), "network": "your network card"}
        for reason in self._own_reasons(device):
            if reason.kind == "console":
                return f"{device.address}, the card that {reason.words}"
            if reason.kind in names:
                return f"{names[reason.kind]} {device.address}, which {reason.words}"
        return label(device)

    def _own_reasons(self, device: PciDevice) -> list[Reason]:
        """Return why the host needs a function for its own sake, not for its group's."""
        reasons = self.needed.pci.get(device.address, ())
        return [reason for reason in reasons if reason.about is None]

    def fixed(self, address: PciAddress) -> tuple[Reason, ...]:
        """Return why a function stays whatever is given up."""
        return tuple(r for r in self.needed.pci.get(address, ()) if not r.waivable)


def _disk(device: PciDevice) -> str:
    if device.class_code >> 8 == _NVME:
        return "your NVMe disk"
    return "your disk's controller" if device.class_code >> 16 == _STORAGE else "your USB disk on"


def _kind(device: PciDevice) -> str:
    return "card" if device.is_gpu else "controller" if device.is_usb_controller else "function"


def is_within(place: UsbPort, port: UsbPort) -> bool:
    """Whether a place is a port or behind a hub in it."""
    return place == port or place.is_below(port)


def choice(
    *,
    drawbacks: Iterable[Drawback] = (),
    gpu: PciDevice | None = None,
    usb: tuple[UsbMatch, ...] = (),
    functions: tuple[PciAddress, ...] = (),
    takes: int = 0,
    node: int | None = None,
    only_with: PciAddress | None = None,
    gets: tuple[str, ...] = (),
) -> Choice:
    """Return a choice with the sum of its drawbacks as its cost."""
    found = tuple(drawbacks)
    cost = sum(item.points for item in found)
    return Choice(gpu, usb, functions, takes, node, only_with, found, gets, cost)
