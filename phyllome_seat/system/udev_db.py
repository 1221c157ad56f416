"""What udev knows about a device: the one reader of ``/run/udev/data``.

The format of these files is udev's own affair and not promised. Known and read here: ``E:`` a
property, ``S:`` a link below /dev, ``G:`` a tag ever given, ``Q:`` a tag of now (systemd 247 and
later), as systemd's src/libsystemd/sd-device/sd-device.c writes them; other lines are left alone.
"""

from __future__ import annotations

from phyllome_seat.model.value import dataclass
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class UdevEntry:
    """One device in udev's database: its lines, looked through for what is asked of it."""

    text: str = "\n"  # begins and ends with a line break

    def find(self, name: str) -> str | None:
        """Return a property, None where the device has none of this name."""
        key = f"\nE:{name}="
        start = self.text.rfind(key) + len(key)
        return None if start < len(key) else self.text[start : self.text.index("\n", start)]

    def find_set(self, names: Iterable[str]) -> list[str]:
        """Return those of `names`, in their order, that are properties set to 1."""
        return [name for name in names if f"\nE:{name}=1\n" in self.text]

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
        return [line[2:] for line in self.text.split("\n") if line[:2] == kind]


def read_udev(sysfs: Sysfs, device_id: str) -> UdevEntry:
    """Return udev's entry of a device, an empty one where udev has none.

    ``device_id`` is ``b8:0`` or ``c189:3`` for a node, ``n2`` for a network interface by its
    index, ``+pci:0000:00:02.0`` (subsystem and name) for any other device.
    """
    content = sysfs.read_bytes("run/udev/data/" + device_id) or b""
    return UdevEntry("\n" + content.decode("utf-8", "backslashreplace") + "\n")
