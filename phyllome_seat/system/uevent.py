"""What the kernel says of a device in its ``uevent`` file: lines like ``DRIVER=nouveau``."""

from __future__ import annotations

from phyllome_seat.system.sysfs import Sysfs


class Uevent:
    """One device's lines, looked through for what is asked of them: a few of a dozen."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = f"\n{text}\n"  # each line, the first and the last too, stands between breaks

    def find(self, name: str) -> str | None:
        """Return the value of a name, the last one's where it stands twice, None without it."""
        _, found, rest = self._text.rpartition(f"\n{name}=")
        return rest.partition("\n")[0] if found else None


def read_uevent(sysfs: Sysfs, path: str) -> Uevent:
    """Return the lines of the device whose own folder is `path`, none where it has gone."""
    return Uevent(sysfs.read(path + "/uevent") or "")
