"""A name followed down a graph of block devices or network interfaces, and the way in words."""

from __future__ import annotations

from collections.abc import Mapping

from phyllome_seat.model.devices import BlockDevice

# By the kernel's names of devices: Documentation/admin-guide/devices.txt, bcache.rst, drbd.rst
_VIRTUAL = {"md": "RAID", "bcache": "cache", "drbd": "DRBD", "loop": "loop"}


class Followed:
    """A name and all below it, where `below` has what is next to each. ``is_whole`` says that it
    has each: a graph without its end is not whole.
    """

    def __init__(self, name: str, below: Mapping[str, tuple[str, ...]]) -> None:
        self.found: dict[str, None] = {}
        self.is_whole = True
        self._above: dict[str, str] = {}
        todo = [name]
        while todo:
            name = todo.pop()
            if name in self.found:
                continue
            if name not in below:
                self.is_whole = False
                continue
            self.found[name] = None
            for lower in below[name]:
                self._above.setdefault(lower, name)
                todo.append(lower)

    def way(self, name: str) -> tuple[str, ...]:
        """Return the names from one that was found up to where it was begun."""
        names = {name: None}
        while name in self._above and self._above[name] not in names:
            name = self._above[name]
            names[name] = None
        return tuple(names)


def render_disk_way(names: tuple[str, ...], blocks: dict[str, BlockDevice]) -> str:
    """Return the way up from a disk, for which its partition stands.

    "nvme0n1p2 → LUKS → LVM vg0-root"
    """
    if len(names) > 1 and names[1].startswith(names[0]):
        names = names[1:]
    return " → ".join(_name_block(blocks[name]) for name in names)


def _name_block(block: BlockDevice) -> str:
    kind = block.kind or _VIRTUAL.get(block.name.rstrip("0123456789"), "")
    if kind == "LUKS":  # its name is a UUID on most PCs
        return kind
    return f"{kind} {block.label or block.name}".strip()
