"""What a person says of a seat on the command line ⇄ `SeatWishes`: ``left:gpu=0000:01:00.0``."""

from __future__ import annotations

import re
from collections.abc import Callable

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import Connector, Host
from phyllome_seat.model.errors import AddressError, PhyllomeSeatError
from phyllome_seat.model.match import label, name_monitor
from phyllome_seat.model.monitors import numbered
from phyllome_seat.model.pool_cards import match_monitor
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.proposal import SeatWishes
from phyllome_seat.model.seat_value import CHOICES, PATTERNS, SIZES, is_readable, nearest
from phyllome_seat.model.value import replace


class SeatLineError(PhyllomeSeatError):
    """A ``--seat`` that cannot be read, or names what this PC has not."""

    exit_status = 2


def parse_seats(host: Host, texts: tuple[str, ...]) -> tuple[SeatWishes, ...]:
    """Return what is said of each seat, in the order of their first mention. SeatLineError."""
    seats: dict[str, SeatWishes] = {}
    for text in texts:
        name, _, said = text.partition(":")
        if not re.fullmatch(PATTERNS["seat"], name):
            raise SeatLineError(
                f"{one_line(name)!r} is no seat's name: letters a-z, digits and -, like left",
                hint="write --seat NAME:key=value, like left:gpu=0000:01:00.0",
            )
        seat = seats.setdefault(name, SeatWishes(name))
        if said:
            seats[name] = seat = _say(host, seat, *said.partition("=")[::2])
        if seat.is_virtual and seat.gpu:
            raise SeatLineError(f"seat {name}: gpu names a card and virtio asks for none")
    return tuple(seats.values())


def _say(host: Host, seat: SeatWishes, key: str, value: str) -> SeatWishes:
    if key not in _KEYS:
        near = nearest(key, tuple(_KEYS))
        raise SeatLineError(
            f"seat {seat.name}: {one_line(key)!r} is none of {', '.join(_KEYS)}",
            hint=f"did you mean {near}?" if near else "",
        )
    try:
        return _KEYS[key](host, seat, value)
    except AddressError as error:
        raise SeatLineError(f"seat {seat.name}: {key}: {error}", hint=error.hint) from error


def _gpu(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    gpus = [device for device in host.pci if device.is_gpu]
    address = PciAddress.parse(value)
    if address not in {device.address for device in gpus}:
        known = ", ".join(map(label, gpus)) or "none"
        raise SeatLineError(one_line(f"seat {seat.name}: {value} is no card; here are {known}"))
    return replace(seat, gpu=address)


def _monitor(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    """Name a monitor by its number in `identify --monitors`, its name, serial number or place."""
    found = [c for number, c in numbered(host) if value in (str(number), *_called(c))]
    if len(found) != 1:
        known = ", ".join(f"{number} {_name(c)}" for number, c in numbered(host)) or "none"
        words = "several monitors" if found else "no monitor"
        raise SeatLineError(
            one_line(f"seat {seat.name}: {value!r} is {words} here; there are: {known}"),
            hint="say its number",
        )
    (connector,) = found
    return replace(seat, gpu=connector.gpu, monitor=match_monitor(connector))


def _called(connector: Connector) -> tuple[str, ...]:
    monitor = connector.monitor
    said = (monitor.name, monitor.serial, monitor.serial_number) if monitor else ()
    return (f"{connector.gpu}/{connector.name}", *(str(word) for word in said if word is not None))


def _name(connector: Connector) -> str:
    name = name_monitor(connector.monitor) if connector.monitor else "a monitor without a name"
    return f"{name} on {connector.gpu}/{connector.name}"


def _port(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    port = UsbPort.parse(value)
    _check_controller(host, seat, port.controller)
    return replace(seat, ports=(*seat.ports, port))


def _controller(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    address = PciAddress.parse(value)
    _check_controller(host, seat, address)
    return replace(seat, controllers=(*seat.controllers, address))


def _check_controller(host: Host, seat: SeatWishes, address: PciAddress) -> None:
    known = [device for device in host.pci if device.is_usb_controller]
    if address not in {device.address for device in known}:
        words = ", ".join(map(label, known)) or "none"
        raise SeatLineError(
            one_line(f"seat {seat.name}: {address} is no USB controller; here are {words}")
        )


def _virtio(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    del host, value
    return replace(seat, is_virtual=True)


def _domain(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    if not is_readable(value):
        raise SeatLineError(one_line(f"seat {seat.name}: {value[:50]!r} is no domain's name"))
    if host.guests is not None and value not in {guest.name for guest in host.guests}:
        known = ", ".join(guest.name for guest in host.guests) or "none"
        raise SeatLineError(
            one_line(f"seat {seat.name}: {value!r} is no libvirt domain; there are: {known}"),
            hint="leave domain out, and one is created",
        )
    return replace(seat, domain=value)


def _cpus(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    del host
    return replace(seat, cpus=int(_checked(seat, "cpus", value)))


def _memory(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    del host
    return replace(seat, memory_bytes=parse_size(_checked(seat, "size", value)))


def _firmware(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    del host
    if value not in CHOICES["firmware"]:
        raise SeatLineError(f"seat {seat.name}: firmware is {' or '.join(CHOICES['firmware'])}")
    return replace(seat, firmware=value)


def _disk(host: Host, seat: SeatWishes, value: str) -> SeatWishes:
    del host
    size = None if value == "none" else parse_size(_checked(seat, "size", value))
    return replace(seat, disk_bytes=size)


def _checked(seat: SeatWishes, pattern: str, value: str) -> str:
    if re.fullmatch(PATTERNS[pattern], value):
        return value
    expected = "a size like 16GiB" if pattern == "size" else "a number"
    raise SeatLineError(f"seat {seat.name}: {one_line(value)!r} is not {expected}")


def parse_size(text: str) -> int:
    """Return the bytes of a size that is one of the seat file's: 16GiB."""
    number = text.rstrip("TGMKiB")
    return int(number) * SIZES[text.removeprefix(number)]


_KEYS: dict[str, Callable[[Host, SeatWishes, str], SeatWishes]] = {
    "gpu": _gpu,
    "monitor": _monitor,
    "keyboard": _port,
    "mouse": _port,
    "port": _port,
    "controller": _controller,
    "virtio": _virtio,
    "domain": _domain,
    "cpus": _cpus,
    "memory": _memory,
    "firmware": _firmware,
    "disk": _disk,
}
