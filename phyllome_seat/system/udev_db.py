"""What udev knows about a device: the one reader of ``/run/udev/data``.

The format of these files is udev's own affair and not promised. Known and read here: ``E:`` a
property, ``S:`` a link below /dev, ``G:`` a tag ever given, ``Q:`` a tag of now (systemd 247 and
later), as systemd's src/libsystemd/sd-device/sd-device.c writes them; other lines are left alone.
"""

from __future__ import annotations

from phyllome_seat.model.value import dataclass
from phyllome_seat.system.sysfs import Sysfs


@dataclass(frozen=True, slots=True)
class UdevEntry:
    """One device in udev's database; ``tags`` are those of now, ``links`` without ``/dev/``."""

    properties: dict[str, str]
    links: tuple[str, ...]
    tags: tuple[str, ...]


def read_udev(sysfs: Sysfs, device_id: str) -> UdevEntry:
    """Return udev's entry of a device, an empty one where udev has none.

    ``device_id`` is ``b8:0`` or ``c189:3`` for a node, ``n2`` for a network interface by its
    index, ``+pci:0000:00:02.0`` (subsystem and name) for any other device.
    """
    content = sysfs.read_bytes("run/udev/data/" + device_id)
    if content is None:
        return UdevEntry({}, (), ())
    properties: dict[str, str] = {}
    links: list[str] = []
    tags_ever: list[str] = []
    tags_now: list[str] = []
    for line in content.decode("utf-8", "backslashreplace").split("\n"):
        kind = line[:2]
        if kind == "E:":
            key, _, value = line[2:].partition("=")
            properties[key] = value
        elif kind == "S:":
            links.append(line[2:])
        elif kind == "Q:":
            tags_now.append(line[2:])
        elif kind == "G:":
            tags_ever.append(line[2:])
    return UdevEntry(properties, tuple(links), tuple(tags_now or tags_ever))
