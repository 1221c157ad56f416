"""The monitors' sockets, from ``/sys/class/drm``.

Attributes are those of drivers/gpu/drm/drm_sysfs.c. The kernel read them when the monitor was
plugged; reading them here asks no monitor.
"""

from __future__ import annotations

from phyllome_seat.model.devices import Connector
from phyllome_seat.model.edid import Monitor, parse_edid
from phyllome_seat.model.errors import EdidError
from phyllome_seat.system.numbers import find_nearest, order_of
from phyllome_seat.system.sysfs import Sysfs

_CLASS = "sys/class/drm/"
_CONNECTED = {"connected": True, "disconnected": False}  # "unknown" is neither
_ENABLED = {"enabled": True, "disabled": False}


def read_connectors(sysfs: Sysfs) -> tuple[Connector, ...]:
    """Return every connector of every GPU on PCI, those that only record pictures left out."""
    connectors = []
    for entry in sysfs.list(_CLASS):
        card, _, name = entry.partition("-")
        if not name or not card.startswith("card") or name.startswith("Writeback"):
            continue
        path = sysfs.target(_CLASS + entry)
        gpu = find_nearest(path) if path else None
        if path is None or gpu is None:
            continue
        status = sysfs.read(path + "/status")
        connectors.append(
            Connector(
                gpu=gpu,
                name=name,
                connected=_CONNECTED.get(status or ""),
                enabled=_ENABLED.get(sysfs.read(path + "/enabled") or ""),
                monitor=None if status == "disconnected" else _read_monitor(sysfs, path),
            )
        )
    return tuple(sorted(connectors, key=lambda c: (order_of(c.gpu), c.name)))


def _read_monitor(sysfs: Sysfs, path: str) -> Monitor | None:
    """Return the monitor by its EDID, None without one that can be read."""
    content = sysfs.read_bytes(path + "/edid")
    if not content:
        return None
    try:
        return parse_edid(content)
    except EdidError:
        return None
