"""The parts of the picture: a card with its monitors, a USB controller with its sockets, the rest.

Each returns its height and its shapes, drawn from 0, 0 for a width of `WIDTH`.
"""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort, render_port_chain
from phyllome_seat.model.devices import Connector, PciDevice, UsbDevice
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.match import is_sound
from phyllome_seat.model.svg_draw import INK, LINE, MUTED, PAPER, box, circle, curve, text
from phyllome_seat.model.svg_owners import Owners

Part = tuple[float, list[str]]
WIDTH = 580
_MONITOR, _CARD_X, _CARD_H = 156, 196, 84
_ROW, _COLUMN, _PILLS = 22, 282, 4


def draw_card(owners: Owners, gpu: PciDevice, others: tuple[PciDevice, ...]) -> Part:
    """Draw a graphics card, the functions that are on its board, and its monitors beside it."""
    line, fill = owners.colours(gpu.address)
    connectors = [c for c in owners.host.connectors if c.gpu == gpu.address]
    shown = [c for c in connectors if c.monitor or c.connected]
    rows = -(-len(others) // _PILLS)
    height = float(max(_CARD_H + 4 + 22 * rows, 100 * len(shown)))
    parts = []
    for number, connector in enumerate(shown):
        top = 100.0 * number
        parts.append(curve(_MONITOR - 6, top + 36, _CARD_X, 20 + 14 * min(number, 4), line))
        parts += _draw_monitor(connector, top, line)
    if not shown:
        parts.append(text(4, 34, "no monitor seen", size=11, fill=MUTED))
    width = WIDTH - _CARD_X
    parts.append(box(_CARD_X, 0, width, _CARD_H, fill=fill, stroke=line, line=2))
    parts.append(box(_CARD_X - 4, 6, 8, _CARD_H - 12, fill="#8d96a5", stroke="#6b7382", radius=2))
    for fan in (WIDTH - 78, WIDTH - 32):
        parts += [circle(fan, 42, 20, fill=PAPER, stroke=line), circle(fan, 42, 6, fill=line)]
    parts.append(_name(_CARD_X + 14, 24, gpu, width - 124))
    parts.append(_facts(_CARD_X + 14, 44, gpu, width - 124))
    parts.append(_whose(owners, gpu, (_CARD_X + 14, 64), width - 124))
    free = len(connectors) - len(shown)
    if free:
        words = f"{free} free output" + ("s" if free > 1 else "")
        parts.append(text(_CARD_X + 14, 78, words, size=10, fill=MUTED))
    for number, other in enumerate(others):
        colour, tint = owners.colours(other.address)
        word = "sound" if is_sound(other) else "USB" if other.is_usb_controller else "more"
        x, y = _CARD_X + number % _PILLS * 78.0, _CARD_H + 4 + number // _PILLS * 22.0
        parts.append(box(x, y, 72, 18, fill=tint, stroke=colour, radius=9))
        words = f"{word} .{other.address.function}"
        parts.append(text(x + 36, y + 13, words, size=10, anchor="middle", width=70))
    return height, parts


def _draw_monitor(connector: Connector, top: float, line: str) -> list[str]:
    monitor = connector.monitor
    wide, high = _MONITOR - 16, 66
    parts = [
        box(6, top + 2, wide, high, fill="#2a3142", stroke=line, radius=5, line=2.5),
        box(wide / 2 - 4, top + high + 2, 20, 7, fill="#8d96a5", stroke="none", radius=0),
        box(wide / 2 - 20, top + high + 9, 52, 4, fill="#8d96a5", stroke="none", radius=2),
    ]
    middle = 6 + wide / 2
    name = (monitor.name or f"{monitor.maker} {monitor.product:04x}") if monitor else "a monitor"
    parts.append(
        text(
            middle,
            top + 32,
            name,
            size=12,
            fill=PAPER,
            is_bold=True,
            anchor="middle",
            width=wide - 8,
        )
    )
    words = _size(monitor) if monitor else ""
    parts.append(text(middle, top + 50, words, size=10, fill="#c9d1e0", anchor="middle"))
    state = f"{connector.name} (remembered)" if connector.remembered else connector.name
    parts.append(text(middle, top + 93, state, size=10, fill=MUTED, anchor="middle", width=wide))
    return parts


def _size(monitor: Monitor) -> str:
    """Return a monitor's size in words: inches, pixels."""
    words = []
    if monitor.size_cm and all(monitor.size_cm):
        wide, high = monitor.size_cm
        words.append(f"{(wide**2 + high**2) ** 0.5 / 2.54:.0f}″")
    if monitor.preferred and all(monitor.preferred):
        words.append("{}×{}".format(*monitor.preferred))
    return " · ".join(words)


def _name(x: float, y: float, device: PciDevice, width: float) -> str:
    return text(x, y, device.name, size=13, is_bold=True, width=width)


def _facts(x: float, y: float, device: PciDevice, width: float) -> str:
    words = f"{device.address} · {device.driver or 'no driver'}"
    return text(x, y, words, size=11, fill=MUTED, width=width)


def _whose(owners: Owners, device: PciDevice, place: tuple[float, float], width: float) -> str:
    x, y = place
    seat = owners.seat_of(device.address)
    if seat is not None:
        line, _ = owners.of_seat(seat)
        return text(x, y, f"seat {seat}", size=11, fill=line, is_bold=True, width=width)
    return text(x, y, owners.why(device.address) or "free", size=11, fill=MUTED, width=width)


def draw_controller(owners: Owners, controller: PciDevice) -> Part:
    """Draw a USB controller with its sockets and what is plugged into them."""
    line, fill = owners.colours(controller.address)
    sockets = [
        s for s in owners.host.sockets if s.ports and s.ports[0].controller == controller.address
    ]
    devices = [d for d in owners.host.usb if d.port and d.port.controller == controller.address]
    rows = (len(devices) + 1) // 2
    used = {d.port for d in devices}
    empty = [s for s in sockets if not any(p in used for p in s.ports)]
    height = 58 + rows * _ROW + (26 if empty else 4)
    parts = [box(0, 0, WIDTH, height, fill=fill, stroke=line, line=2)]
    parts.append(_name(14, 22, controller, WIDTH * 0.68))
    facts = f"{controller.address} · {controller.driver or 'no driver'}"
    parts.append(text(WIDTH - 14, 22, facts, size=11, fill=MUTED, anchor="end"))
    parts.append(_whose(owners, controller, (14, 41), WIDTH - 28))
    for number, device in enumerate(devices):
        across, down = number % 2 * _COLUMN, number // 2 * _ROW
        parts += _draw_device(owners, device, 14 + across, 50 + down)
    x = 14.0
    for socket in empty[:16]:
        colour, _ = owners.of_seat(owners.seat_of_socket(socket))
        parts += _draw_socket(x, 54 + rows * _ROW, colour, is_fast=len(socket.ports) > 1)
        x += 26
    if empty:
        words = f"{len(empty)} empty socket" + ("s" if len(empty) > 1 else "")
        parts.append(text(x + 4, 65 + rows * _ROW, words, size=10, fill=MUTED))
    return height, parts


def _draw_device(owners: Owners, device: UsbDevice, x: float, y: float) -> list[str]:
    line, _ = owners.of_seat(owners.seat_of_device(device))
    port = device.port
    assert port is not None
    indent = 12 * (len(port.ports) - 1)
    kinds = {k for i in owners.host.inputs if i.usb == port for k in i.kinds} - {"key"}
    mark = "hub" if device.is_hub else ", ".join(sorted(kinds))
    width = _COLUMN - 44 - indent
    words = f"{_place(port)}  {device.name}" + (f"  ({mark})" if mark else "")
    return [
        *_draw_socket(x + indent, y + 4, line, is_fast=port.speed == "usb3"),
        text(x + indent + 28, y + 15, words, size=11, fill=INK, width=width),
    ]


def _place(port: UsbPort) -> str:
    return f"{'3:' if port.speed == 'usb3' else ''}{render_port_chain(port.ports)}"


def _draw_socket(x: float, y: float, line: str, *, is_fast: bool) -> list[str]:
    tongue = "#3b82f6" if is_fast else "#222b3a"
    return [
        box(x, y, 21, 13, fill=PAPER, stroke=line, radius=2.5, line=2),
        box(x + 4, y + 3, 13, 4, fill=tongue, stroke="none", radius=1),
    ]


def draw_function(owners: Owners, device: PciDevice) -> Part:
    """Draw any other function in one line, with what the host needs it for."""
    line, fill = owners.colours(device.address)
    why = owners.why(device.address)
    parts = [box(0, 0, WIDTH, 30, fill=fill, stroke=line if why else LINE)]
    words = f"{device.address}  {device.name}"
    room = WIDTH - 28 if not why else WIDTH * 0.46
    parts.append(text(14, 20, words, size=11, width=room))
    if why:
        parts.append(
            text(WIDTH - 14, 20, why, size=11, fill=MUTED, anchor="end", width=WIDTH * 0.46)
        )
    return 30, parts


def draw_more(count: int) -> Part:
    """Say that there are further functions nobody asks for."""
    words = f"and {count} function{'s' if count > 1 else ''} of the board"
    return 16, [text(14, 12, words, size=11, fill=MUTED)]
