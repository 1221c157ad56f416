"""What the person gives up of what the host needs, by the words of the seat file.

``console: none`` gives up the screen and the last keyboard, whatever has them. ``gives-up`` names
one device each: its way to the network, its screen or its keyboard may go with that one alone. No
word gives up a disk.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.claim import Refusals
from phyllome_seat.model.devices import Host
from phyllome_seat.model.match import find_function
from phyllome_seat.model.match_usb import find_ports, is_named
from phyllome_seat.model.need import Reason
from phyllome_seat.model.seat import DeviceMatch, PciMatch, PortMatch, Wish
from phyllome_seat.model.value import dataclass, replace


@dataclass(frozen=True, slots=True)
class Consent:
    """What is given up, by place; ``devices`` wherever they are plugged in."""

    console: str = "keep"
    functions: tuple[PciAddress, ...] = ()
    ports: tuple[UsbPort, ...] = ()
    devices: tuple[DeviceMatch, ...] = ()

    def covers(self, host: Host, place: PciAddress | UsbPort, reason: Reason) -> bool:
        """Whether what is at `place` may leave although the host needs it for `reason`."""
        if reason.waivable and self.console == "none":
            return True
        return reason.by_name and self.names(host, place, reason)

    def names(self, host: Host, place: PciAddress | UsbPort, reason: Reason) -> bool:
        """Whether `gives-up` names what the host needs: what is at `place`, or in its group."""
        if isinstance(place, PciAddress):
            return (reason.about or place) in self.functions
        if any(place == port or place.is_below(port) for port in self.ports):
            return True
        here = [d for d in host.usb if d.port == place and not d.remembered]
        return any(is_named(device, match) for device in here for match in self.devices)


def find_consent(host: Host, wish: Wish, refusals: Refusals) -> Consent:
    """Return what `wish` gives up on `host`; a place that holds something else is noted."""
    functions: list[PciAddress] = []
    ports: list[UsbPort] = []
    for match in wish.gives_up:
        if isinstance(match, PciMatch):
            device = refusals.collect(match.line, find_function, host, match)
            functions += [device.address] if device else []
        elif isinstance(match, PortMatch):
            ports += refusals.collect(match.line, find_ports, host, match) or ()
    devices = tuple(match for match in wish.gives_up if isinstance(match, DeviceMatch))
    return Consent(wish.console, tuple(functions), tuple(ports), devices)


def match_consent(
    host: Host, place: PciAddress | UsbPort, reason: Reason
) -> PciMatch | PortMatch | None:
    """Return what of `gives-up` gives up what is at `place`, None where nothing does."""
    if not reason.by_name:
        return None
    where = place if isinstance(place, UsbPort) else reason.about or place
    controller = where.controller if isinstance(where, UsbPort) else where
    plain = replace(host.by_address[controller].id, subvendor=None, subdevice=None)
    if isinstance(where, PciAddress):
        return PciMatch(where, plain)
    if where.speed == "usb2":
        return PortMatch(controller, plain, usb2=where.ports)
    return PortMatch(controller, plain, usb3=where.ports)


def render_consent(host: Host, place: PciAddress | UsbPort, reason: Reason) -> str | None:
    """Return the line that gives up what is at `place`, None where no line does."""
    from phyllome_seat.model.seat_file import render_given_up

    match = match_consent(host, place, reason)
    return None if match is None else f"- {render_given_up(match)}"
