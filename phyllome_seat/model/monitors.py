"""The monitors of a PC, each with a number that a person can point at."""

from __future__ import annotations

from phyllome_seat.model.devices import Connector, Host
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.match import label, name_monitor
from phyllome_seat.model.printable import one_line, printable
from phyllome_seat.model.seat import MonitorMatch

HELD = "a desktop shows its own picture there"


def numbered(host: Host) -> tuple[tuple[int, Connector], ...]:
    """Return every monitor that is there, or was before its card left the host, from 1 on."""
    there = [c for c in host.connectors if c.connected or (c.remembered and c.monitor)]
    return tuple(enumerate(there, 1))


def monitor_match(monitor: Monitor | None) -> MonitorMatch | None:
    """Return how a seat file names a monitor, None for one that says nothing of itself."""
    if monitor is None:
        return None
    number = str(monitor.serial_number) if monitor.serial_number else None
    serial = _writable(monitor.serial) or number
    name = _writable(monitor.name)
    if name is None and serial is None:
        return None
    return MonitorMatch(None if name else _writable(monitor.maker), name, serial)


def _writable(text: str | None) -> str | None:
    """Return what a file can say as it is, and read back; None for any other text."""
    return text if text and printable(text) == text else None


def render_monitor(number: int, connector: Connector, host: Host, dark: str = "") -> str:
    """Return one monitor as a line; `dark` says why its number is not on it."""
    monitor = connector.monitor
    name = name_monitor(monitor) if monitor else "a monitor that does not say what it is"
    card = host.by_address.get(connector.gpu)
    where = f"{connector.name} of {label(card) if card else connector.gpu}"
    line = one_line(f"{number:3}  {name}, {where}")
    return line + (f"\n     not shown: {one_line(dark)}" if dark else "")


def monitor_json(number: int, connector: Connector, dark: str | None) -> dict[str, object]:
    """Return one monitor as JSON's own types; ``not_shown`` is None where its number is on it."""
    monitor = connector.monitor
    return {
        "number": number,
        "gpu": str(connector.gpu),
        "connector": connector.name,
        "maker": monitor.maker if monitor else None,
        "name": monitor.name if monitor else None,
        "serial": monitor.serial if monitor else None,
        "not_shown": dark,
    }
