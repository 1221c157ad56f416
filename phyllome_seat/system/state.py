"""All state there is: what the machine itself can no longer tell.

::

    /run/phyllome-seat/                  dies with the boot, as bindings do
        lock                             who is at work
        before/<PCI address>             driver and override a function had before us, JSON
        pending/<PCI address>            a driver write the kernel has not finished, JSON
        reload                           udev has not looked at our new rules yet
        lends                            USB devices lent to a seat, or taken back, by hand, JSON
    /var/lib/phyllome-seat/
        seen.json                        monitors and USB devices that are out of sight now
        before/<domain uuid>.xml         a guest's definition from before us, root's alone: it is
                                         read with its passwords

Writing is `State`'s and root's. Reading is `read_state`'s, through a `Sysfs`, and anyone's.
"""

from __future__ import annotations

import os

from phyllome_seat.model.devices import BeforeBind, OurFile, Pending
from phyllome_seat.model.lend import NOTHING_SAID
from phyllome_seat.model.state_json import (
    parse_before,
    parse_lending,
    parse_pending,
    render_before,
    render_lending,
    render_pending,
)
from phyllome_seat.system.files import read_file, remove_file, sweep, write_file
from phyllome_seat.system.process import start_time
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.address import PciAddress
    from phyllome_seat.model.lend import Lending
    from phyllome_seat.system.lock import Lock

RUN = "run/phyllome-seat"
LIB = "var/lib/phyllome-seat"
RULES = "etc/udev/rules.d/72-phyllome-seat.rules"
RELOAD = f"{RUN}/reload"
OUR_FILES = (RULES, RELOAD)
HEADER = "# phyllome-seat: "  # a file that starts so is ours to replace and to remove

_BEFORE = f"{RUN}/before"
_PENDING = f"{RUN}/pending"
LENDS = f"{RUN}/lends"
_GUESTS = f"{LIB}/before"
_FOLDERS = (RUN, _BEFORE, _PENDING, LIB, _GUESTS, os.path.dirname(RULES))


class State:
    """The state below `root`, to be written by one at a time: within ``with state.lock(...)``."""

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.realpath(root)

    def lock(self, command: str, wait_s: float = 10.0) -> Lock:
        """Return the lock; taken by ``with``. What dead writers left is swept by `sweep`."""
        from phyllome_seat.system.lock import Lock

        return Lock(self._path(f"{RUN}/lock"), command=command, wait_s=wait_s)

    def sweep(self) -> None:
        """Remove half-written files of writers that died; the lock must be held."""
        for folder in _FOLDERS:
            sweep(self._path(folder))

    def read_before(self, address: PciAddress) -> BeforeBind | None:
        """Return what a function had before us, None when we did not bind it in this boot."""
        content = read_file(self._path(f"{_BEFORE}/{address}"))
        return None if content is None else parse_before(_text(content), f"/{_BEFORE}/{address}")

    def write_before(self, before: BeforeBind) -> None:
        """Keep what a function has now, before it is changed."""
        self._write(f"{_BEFORE}/{before.address}", render_before(before))

    def drop_before(self, address: PciAddress) -> None:
        """Forget what a function had: it has it again."""
        remove_file(self._path(f"{_BEFORE}/{address}"))

    def write_pending(self, pending: Pending) -> None:
        """Keep which process is about to do a write that the kernel may not finish."""
        started = start_time(Sysfs("/"), pending.pid) or 0  # 0: ended already, no process has it
        self._write(f"{_PENDING}/{pending.address}", render_pending(pending, started))

    def drop_pending(self, address: PciAddress) -> None:
        """Forget a write: the kernel has finished it."""
        remove_file(self._path(f"{_PENDING}/{address}"))

    def drop_finished(self) -> None:
        """Forget every write; none must be under way: what is left is of runs that were killed."""
        for name in Sysfs(self.root).list(_PENDING):
            remove_file(self._path(f"{_PENDING}/{name}"))

    def read_seen(self) -> str | None:
        """Return the text of what was seen, None when nothing was."""
        content = read_file(self._path(f"{LIB}/seen.json"))
        return None if content is None else _text(content)

    def write_seen(self, text: str) -> None:
        """Keep what is about to get out of sight."""
        self._write(f"{LIB}/seen.json", text)

    def read_guest(self, uuid: str) -> str | None:
        """Return a guest's definition from before us, with its secrets; None when none is kept."""
        content = read_file(self._path(f"{_GUESTS}/{uuid}.xml"))
        return None if content is None else content.decode()

    def keep_guest(self, uuid: str, xml: str) -> None:
        """Keep a guest's definition unless one is kept: the first is the one from before us."""
        if self.read_guest(uuid) is None:
            self._write(f"{_GUESTS}/{uuid}.xml", xml, mode=0o600)

    def drop_guest(self, uuid: str) -> None:
        """Forget a guest's definition: it is as its owner wants it."""
        remove_file(self._path(f"{_GUESTS}/{uuid}.xml"))

    def read_lending(self) -> Lending:
        """Return what was lent and taken back by hand. StateFileError where it does not parse."""
        return read_lending(Sysfs(self.root))

    def write_lending(self, lending: Lending) -> None:
        """Keep what is lent and taken back; no file where nothing is."""
        if lending == NOTHING_SAID:
            remove_file(self._path(LENDS))
        else:
            self._write(LENDS, render_lending(lending))

    def _write(self, path: str, text: str, mode: int = 0o644) -> None:
        whole = self._path(path)
        os.makedirs(os.path.dirname(whole), mode=0o755, exist_ok=True)
        write_file(whole, text.encode(), mode)

    def _path(self, path: str) -> str:
        return os.path.join(self.root, path)


def read_state(
    sysfs: Sysfs,
) -> tuple[tuple[BeforeBind, ...], tuple[Pending, ...], tuple[OurFile, ...], tuple[str, ...]]:
    """Return what a `Host` holds of it: ``before``, ``pending``, ``files``, ``kept_guests``.

    Writes that the kernel has finished meanwhile are left out. StateFileError for a ``before`` or
    ``pending`` that does not parse: to pass over it would lose the way back.
    """
    before = tuple(
        parse_before(text, f"/{_BEFORE}/{name}") for name, text in _texts(sysfs, _BEFORE)
    )
    files = tuple(
        OurFile(f"/{path}", text)
        for path in OUR_FILES
        if (text := _whole(sysfs, path)) is not None and text.startswith(HEADER)
    )
    kept = tuple(name.removesuffix(".xml") for name in sysfs.list(_GUESTS) if _is_kept_guest(name))
    return before, read_pending(sysfs), files, kept


def read_lending(sysfs: Sysfs) -> Lending:
    """Return what was lent and taken back by hand. StateFileError where it does not parse."""
    text = _whole(sysfs, LENDS)
    return NOTHING_SAID if text is None else parse_lending(text, f"/{LENDS}")


def read_pending(sysfs: Sysfs) -> tuple[Pending, ...]:
    """Return the writes that the kernel has not finished: those whose process still lives."""
    pending = (parse_pending(text, f"/{_PENDING}/{name}") for name, text in _texts(sysfs, _PENDING))
    return tuple(item for item, started in pending if start_time(sysfs, item.pid) == started)


def _texts(sysfs: Sysfs, folder: str) -> list[tuple[str, str]]:
    names = (name for name in sysfs.list(folder) if not name.startswith("."))
    texts = ((name, _whole(sysfs, f"{folder}/{name}")) for name in names)
    return [(name, text) for name, text in texts if text is not None]


def _whole(sysfs: Sysfs, path: str) -> str | None:
    content = sysfs.read_bytes(path)
    return None if content is None else _text(content)


def _is_kept_guest(name: str) -> bool:
    return name.endswith(".xml") and not name.startswith(".")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")
