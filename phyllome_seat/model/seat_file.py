"""Seat file ⇄ `Wish`: what people want, as YAML that a person can read aloud.

A refusal names file, line, key, what was expected and the nearest thing that would fit; all of
them are found in one reading.
"""

from __future__ import annotations

import re

from phyllome_seat.model.address import (
    PciAddress,
    PciId,
    UsbId,
    parse_port_chain,
    render_port_chain,
)
from phyllome_seat.model.cores import render_cpus
from phyllome_seat.model.errors import SeatFileError
from phyllome_seat.model.seat import (
    DeviceMatch,
    MonitorMatch,
    NewGuest,
    PciMatch,
    PortMatch,
    Seat,
    UsbMatch,
    Wish,
)
from phyllome_seat.model.seat_value import SIZES, Reading, nearest
from phyllome_seat.model.value import replace
from phyllome_seat.model.yaml_node import Mapping, Node, Scalar, Sequence, parse_yaml


def parse_wish(text: str, file: str = "seats.yaml") -> Wish:
    """Return the wish of a seat file; SeatFileError, with all its `problems`, otherwise."""
    reading = _WishReading(file)
    wish = reading.wish(parse_yaml(text, file))
    if wish is None or reading.problems:
        problems = tuple(sorted(reading.problems, key=lambda problem: problem.line))
        at = problems[0]
        raise SeatFileError(
            at.file, at.line, at.key, at.expected, nearest=at.nearest, problems=problems
        )
    return wish


_LEAST_BYTES = 2**20  # of a guest's memory: less is a slip of the pen


class _WishReading(Reading):
    """The nouns of a seat file, each from the node of its key."""

    def wish(self, node: Node) -> Wish | None:
        keys = self.keys(node, "", "file")
        if keys is None:
            return None
        self.choice(keys.get("version"), "version", "version")
        host = self.keys(keys.get("host"), "host", "host") or {}
        seats = self.seats(keys.get("seats"))
        return Wish(
            seats=seats,
            console=self.choice(host.get("console"), "host.console", "console") or "keep",
            host_cpus=self.cpus(host.get("cpus"), "host.cpus"),
            host_memory_bytes=self.size(host.get("memory"), "host.memory"),
            file=self.file,
            unknown_usb=self.owner(host.get("unknown-usb"), seats),
            gives_up=self.matches(host.get("gives-up"), "host.gives-up", "function"),
        )

    def owner(self, node: Node | None, seats: tuple[Seat, ...]) -> str:
        place, known = "host.unknown-usb", ("host", "ask", *(seat.name for seat in seats))
        name = self.pattern(node, place, "owner")
        if node is not None and name is not None and name not in known:
            self.expected(node, place, f"one of {', '.join(known)}", nearest(name, known))
        return name or "host"

    def seats(self, node: Node | None) -> tuple[Seat, ...]:
        if node is None:
            return ()
        if not isinstance(node, Mapping):
            self.expected(node, "seats", "seats by their names ({} for none)")
            return ()
        seats = []
        for key, value in self.pairs(node, "seats"):
            near = re.sub("[^a-z0-9]+", "-", key.text[:99].lower()).strip("-0123456789")[:31]
            name = self.pattern(key, "seats", "seat", near)
            keys = self.keys(value, f"seats.{name or '?'}", "seat")
            if name and keys is not None:
                seats.append(self.seat(name, key.line, keys))
        return tuple(seats)

    def seat(self, name: str, line: int, keys: dict[str, Node]) -> Seat:
        place = f"seats.{name}"
        guest = self.keys(keys.get("guest"), f"{place}.guest", "guest") or {}
        return Seat(
            name,
            gpu=self.pci(keys.get("gpu"), f"{place}.gpu"),
            monitor=self.monitor(keys.get("monitor"), f"{place}.monitor"),
            usb=self.matches(keys.get("usb"), f"{place}.usb", "controller"),
            domain=self.text(guest.get("domain"), f"{place}.guest.domain"),
            create=self.create(guest.get("create"), f"{place}.guest.create"),
            line=line,
            guest_line=keys["guest"].line if "guest" in keys else 0,
            when_off=self.choice(keys.get("when-off"), f"{place}.when-off", "when-off") or "wait",
        )

    def pci(self, node: Node | None, place: str) -> PciMatch | None:
        keys = self.keys(node, place, "pci")
        if node is None or keys is None:
            return None
        address = self.parsed(keys.get("pci"), f"{place}.pci", PciAddress.parse)
        identity = self.parsed(keys.get("id"), f"{place}.id", PciId.parse)
        return PciMatch(address, identity, node.line) if address and identity else None

    def monitor(self, node: Node | None, place: str) -> MonitorMatch | None:
        keys = self.keys(node, place, "monitor")
        if node is None or keys is None:
            return None
        return MonitorMatch(
            maker=self.text(keys.get("maker"), f"{place}.maker"),
            name=self.text(keys.get("name"), f"{place}.name"),
            serial=self.text(keys.get("serial"), f"{place}.serial"),
            line=node.line,
        )

    def matches(self, node: Node | None, place: str, word: str) -> tuple[UsbMatch, ...]:
        """Return a list of ports, devices and functions; `word` is the key of a function."""
        if node is None:
            return ()
        if not isinstance(node, Sequence):
            self.expected(node, place, "a list (lines that begin with -, or [] for none)")
            return ()
        matches: dict[UsbMatch, UsbMatch] = {}  # by what they name, without their line
        for number, item in enumerate(node.items):
            match = self.usb_match(item, f"{place}[{number}]", word)
            if match is None:
                continue
            same = matches.setdefault(replace(match, line=0), match)
            if same is not match:
                expected = f"the same is in the list already, in line {same.line}"
                self.problem(item, f"{place}[{number}]", expected)
        return tuple(matches.values())

    def usb_match(self, node: Node, place: str, word: str) -> UsbMatch | None:
        keys = self.keys(node, place, "usb" if word == "controller" else "given-up") or {}
        port = self.port(keys.get("port"), f"{place}.port")
        controller = self.pci(keys.get(word), f"{place}.{word}")
        device = self.device(keys.get("device"), f"{place}.device")
        return port or controller or device

    def port(self, node: Node | None, place: str) -> PortMatch | None:
        keys = self.keys(node, place, "port")
        if node is None or keys is None:
            return None
        controller = self.parsed(keys.get("controller"), f"{place}.controller", PciAddress.parse)
        identity = self.parsed(keys.get("id"), f"{place}.id", PciId.parse)
        usb2 = self.chain(keys.get("usb2"), f"{place}.usb2")
        usb3 = self.chain(keys.get("usb3"), f"{place}.usb3")
        if controller is None or identity is None or not (usb2 or usb3):
            return None
        return PortMatch(controller, identity, usb2, usb3, node.line)

    def chain(self, node: Node | None, place: str) -> tuple[int, ...]:
        is_bare = isinstance(node, Scalar) and node.is_plain
        if isinstance(node, Scalar) and is_bare and re.fullmatch("[0-9]+[.][0-9]+", node.text):
            # To everything else that reads YAML, a bare 4.10 is the number 4.1.
            quoted = f'"{node.text[:20]}"'
            self.expected(node, place, f"a port behind a hub in quotes ({quoted})", quoted)
            return ()
        return self.parsed(node, place, parse_port_chain) or ()

    def device(self, node: Node | None, place: str) -> DeviceMatch | None:
        keys = self.keys(node, place, "device")
        if node is None or keys is None:
            return None
        identity = self.parsed(keys.get("id"), f"{place}.id", UsbId.parse)
        serial = self.text(keys.get("serial"), f"{place}.serial")
        return DeviceMatch(identity, serial, node.line) if identity else None

    def create(self, node: Node | None, place: str) -> NewGuest | None:
        keys = self.keys(node, place, "create")
        if keys is None:
            return None
        name = self.pattern(keys.get("name"), f"{place}.name", "name")
        memory_bytes = self.size(keys.get("memory"), f"{place}.memory")
        cpus = self.cpus(keys.get("cpus"), f"{place}.cpus")
        pin = self.pin(keys.get("pin"), f"{place}.pin", cpus)
        firmware = self.choice(keys.get("firmware"), f"{place}.firmware", "firmware")
        profile = self.choice(keys.get("profile"), f"{place}.profile", "profile")
        disk = self.keys(keys.get("disk"), f"{place}.disk", "disk") or {}
        path = self.pattern(disk.get("path"), f"{place}.disk.path", "path")
        disk_bytes = self.size(disk.get("size"), f"{place}.disk.size")
        if memory_bytes is not None and memory_bytes < _LEAST_BYTES:
            self.expected(keys["memory"], f"{place}.memory", "1MiB or more")
        if name is None or memory_bytes is None or cpus is None:
            return None
        return NewGuest(
            name,
            memory_bytes,
            cpus,
            firmware or "efi",
            profile,
            path,
            disk_bytes,
            pin=pin,
            pin_line=keys["pin"].line if "pin" in keys else 0,
        )


def render_wish(wish: Wish) -> str:
    """Return a seat file that `parse_wish` reads as this wish, but for the lines in it."""
    host = {
        "console": wish.console if wish.console != "keep" else None,
        "cpus": wish.host_cpus,
        "memory": _size(wish.host_memory_bytes),
        "unknown-usb": wish.unknown_usb if wish.unknown_usb != "host" else None,
    }
    lines = ["version: 1"]
    if any(host.values()) or wish.gives_up:
        lines += ["host:", *(f"  {key}: {value}" for key, value in host.items() if value)]
    if wish.gives_up:
        lines += ["  gives-up:", *(f"    - {render_given_up(match)}" for match in wish.gives_up)]
    lines.append("seats:" if wish.seats else "seats: {}")
    for seat in wish.seats:
        inner = _seat_lines(seat)
        lines += [f"  {seat.name}:" if inner else f"  {seat.name}: {{}}", *inner]
    return "\n".join(lines) + "\n"


def _seat_lines(seat: Seat) -> list[str]:
    lines = []
    if seat.gpu:
        lines.append(f"    gpu: {_pci(seat.gpu)}")
    if seat.monitor:
        monitor = {
            "maker": _quoted(seat.monitor.maker),
            "name": _quoted(seat.monitor.name),
            "serial": _quoted(seat.monitor.serial),
        }
        lines.append(f"    monitor: {_flow(monitor)}")
    if seat.usb:
        lines += ["    usb:", *(f"      - {render_usb(match)}" for match in seat.usb)]
    if seat.when_off != "wait":
        lines.append(f"    when-off: {seat.when_off}")
    if seat.domain is not None:
        lines.append(f"    guest: {_flow({'domain': _quoted(seat.domain)})}")
    if seat.create:
        lines += ["    guest:", f"      create: {_create(seat.create)}"]
    return lines


def _pci(match: PciMatch) -> str:
    return _flow({"pci": f'"{match.address}"', "id": f'"{match.id}"'})


def render_usb(match: UsbMatch) -> str:
    """Return one line of a seat's `usb` list, without its dash."""
    match match:
        case PciMatch():
            return f"controller: {_pci(match)}"
        case DeviceMatch():
            device = {"id": f'"{match.id}"', "serial": _quoted(match.serial)}
            return f"device: {_flow(device)}"
        case PortMatch():
            port = {
                "controller": f'"{match.controller}"',
                "id": f'"{match.id}"',
                "usb2": _quoted(render_port_chain(match.usb2) or None),
                "usb3": _quoted(render_port_chain(match.usb3) or None),
            }
            return f"port: {_flow(port)}"


def render_given_up(match: UsbMatch) -> str:
    """Return one line of the host's `gives-up` list, without its dash."""
    return f"function: {_pci(match)}" if isinstance(match, PciMatch) else render_usb(match)


def _create(guest: NewGuest) -> str:
    disk = {"path": _quoted(guest.disk_path), "size": _size(guest.disk_bytes)}
    return _flow(
        {
            "name": _quoted(guest.name),
            "profile": guest.profile,
            "firmware": guest.firmware,
            "cpus": str(guest.cpus),
            "pin": f'"{render_cpus(guest.pin)}"' if guest.pin else None,
            "memory": _size(guest.memory_bytes),
            "disk": _flow(disk) if guest.disk_path else None,
        }
    )


def _flow(values: dict[str, str | None]) -> str:
    """Return a mapping on one line, without the keys whose value is None."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items() if value) + "}"


def _size(size_bytes: int | None) -> str | None:
    """Return a size in the largest unit that it is a whole number of."""
    if size_bytes is None:
        return None
    unit = next(unit for unit, factor in SIZES.items() if size_bytes % factor == 0)
    return f"{size_bytes // SIZES[unit]}{unit}"


def _quoted(text: str | None) -> str | None:
    """Return a text in double quotes; its characters are printable, so two need escaping."""
    if text is None:
        return None
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
