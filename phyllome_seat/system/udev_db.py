"""What udev knows about a device: the one reader of ``/run/udev/data``.

The format of these files is udev's own affair and not promised. Known and read here: ``E:`` a
property, ``S:`` a link below /dev, ``G:`` a tag ever given, ``Q:`` a tag of now (systemd 247 and
later), as systemd's src/libsystemd/sd-device/sd-device.c writes them; other lines are left alone.
"""

from __future__ import annotations

from phyllome_seat.system.sysfs import Sysfs


class UdevEntry:
    """One device in udev's database: its lines, looked through for what is asked of it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = f"\n{text}\n"  # each line, the first and the last too, stands between breaks

    def find(self, name: str) -> str | None:
        """Return a property, None where the device has none of this name."""
        _, found, rest = self._text.rpartition(f"\nE:{name}=")
        return rest.partition("\n")[0] if found else None

    def find_all(self, start: str) -> set[str]:
        """Return what follows in each line of a property whose name starts so: ``KEY=1``."""
        return {line.partition("\n")[0] for line in self._text.split(f"\nE:{start}")[1:]}

    @property
    def properties(self) -> dict[str, str]:
        """Return all properties by name."""
        return dict([line.partition("=")[::2] for line in self._lines("E:")])

    @property
    def links(self) -> tuple[str, ...]:
        """Return the links to the device's node, without ``/dev/``."""
        return tuple(self._lines("S:"))

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags of now, those ever given where udev is too old to tell them apart."""
        return tuple(self._lines("Q:") or self._lines("G:"))

    def _lines(self, kind: str) -> list[str]:
        return [line[2:] for line in self._text.split("\n") if line[:2] == kind]


def read_udev(sysfs: Sysfs, device_id: str) -> UdevEntry:
    """Return udev's entry of a device, an empty one where udev has none.

    ``device_id`` is ``b8:0`` or ``c189:3`` for a node, ``n2`` for a network interface by its
    index, ``+pci:0000:00:02.0`` (subsystem and name) for any other device.
    """
    content = sysfs.read_bytes("run/udev/data/" + device_id) or b""
    return UdevEntry(content.decode("utf-8", "backslashreplace"))
