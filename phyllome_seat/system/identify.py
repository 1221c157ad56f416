"""Which input device is it: wait until a key or button of one is pressed.

All evdev nodes are opened to read and none is ever grabbed: a key goes where it would have gone
anyway, and a program that hangs takes no keyboard away. The kernel is told to hand over keys and
buttons only (EVIOCSMASK: include/uapi/linux/input.h, since Linux 4.4), so that no motion is read.
Of a press it is kept which node it came from; its code is looked at for Escape, and to wait until
the key is let go, so that what it types reaches the terminal while its input is thrown away.

No binding is needed: an event is one fixed struct.
"""

from __future__ import annotations

import os
import selectors
import struct
import time
from contextlib import suppress
from fcntl import ioctl

from phyllome_seat.model.errors import PhyllomeSeatError
from phyllome_seat.system.terminal import is_escape, quiet, read_typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Changes(Protocol):
        """Says by a descriptor that becomes readable that devices came or went."""

        def fileno(self) -> int:
            """Return the descriptor to wait on."""

        def read(self) -> object:
            """Take what there is, without waiting."""


# struct input_event: two longs of time, type, code, value. include/uapi/linux/input.h
_EVENT = struct.Struct("@llHHi")
_EV_SYN, _EV_KEY = 0x00, 0x01
_UP, _DOWN = 0, 1  # 2 is a key that repeats: Documentation/input/event-codes.rst, "EV_KEY"
_KEY_ESC = 1
# What says which tool or how many fingers are near: nobody pressed. BTN_TOOL_* up to
# BTN_TOOL_QUADTAP, but for BTN_TOUCH, BTN_STYLUS, BTN_STYLUS2: input-event-codes.h.
_NEAR = frozenset(range(0x140, 0x150)) - {0x14A, 0x14B, 0x14C}
_MASK = struct.Struct("@IIQ")  # struct input_mask: type, size of the bitmap, its address
_EVIOCSMASK = 1 << 30 | _MASK.size << 16 | ord("E") << 8 | 0x93

_LET_GO_S = 2.0
# From a key's way through a desktop and its terminal back to us; a guess at the slow end.
_ARRIVES_S = 0.15


class NothingPressedError(PhyllomeSeatError):
    """Nobody pressed anything in time, or somebody pressed Esc."""


class EscapedError(NothingPressedError):
    """Somebody pressed Esc."""


def wait_press(
    *,
    timeout_s: float = 60.0,
    terminal: int | None = None,
    changes: Changes | None = None,
    folder: str = "/dev/input",
) -> str:
    """Return the node ("event3") whose key or button is pressed next, of all the host has.

    `terminal` is what is typed into meanwhile; Escape there, or on any of the keyboards, ends it.
    With `changes`, devices plugged in meanwhile are heard too. *errors*: NothingPressedError; and
    PhyllomeSeatError where nothing may be read.
    """
    with quiet(terminal), _Nodes(folder) as nodes:
        nodes.watch(terminal, changes)
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            pressed = nodes.wait(left)
            if pressed is not None:
                nodes.wait_let_go(*pressed)
                if pressed[1] == _KEY_ESC:
                    raise _ended()
                return nodes.name(pressed[0])
        raise NothingPressedError(
            f"no key or button was pressed within {timeout_s:g} s, on none of "
            f"{nodes.count} input devices",
            hint="what a guest has or a program grabbed is not heard; --timeout S waits longer",
        )


def _ended() -> EscapedError:
    return EscapedError("ended by Esc: nothing was identified")


class _Nodes:
    """The evdev nodes of a folder, open."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._open: dict[str, int] = {}
        self._terminal: int | None = None
        self._changes: Changes | None = None

    def __enter__(self) -> _Nodes:
        refused = self._refresh()
        if refused is not None:  # to hear gamepads only, as a user may, would mislead
            self.__exit__()
            raise PhyllomeSeatError(f"{refused} may not be read: only root may", hint="use sudo")
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    @property
    def count(self) -> int:
        return len(self._open)

    def watch(self, terminal: int | None, changes: Changes | None) -> None:
        """Wait for these, too."""
        self._terminal, self._changes = terminal, changes
        for other in (terminal, changes):
            if other is not None:
                self._selector.register(other, selectors.EVENT_READ)

    def name(self, fd: int) -> str:
        return next(name for name, open_fd in self._open.items() if open_fd == fd)

    def wait(self, timeout_s: float) -> tuple[int, int, bool] | None:
        """Return where and what was pressed first, and whether it is still down.

        None when something else happened, or nothing in time.
        """
        # A node that has gone is closed before one that came may take its name.
        ready = self._selector.select(timeout_s)
        for key, _ in sorted(ready, key=lambda item: item[0].fileobj is self._changes):
            if key.fileobj is self._changes and self._changes is not None:
                self._changes.read()
                self._refresh()
            elif key.fd == self._terminal:
                self._read_terminal()
            else:
                events = self._read(key.fd)
                for code, value in events:
                    if value == _DOWN and code not in _NEAR:
                        return key.fd, code, (code, _UP) not in events
        return None

    def wait_let_go(self, fd: int, code: int, is_down: bool) -> None:
        """Wait until a key is up and what it typed has reached the terminal, or a short while."""
        if is_down:
            self._wait_up(fd, code)
        if self._terminal is not None:
            time.sleep(_ARRIVES_S)

    def _wait_up(self, fd: int, code: int) -> None:
        deadline = time.monotonic() + _LET_GO_S
        with selectors.DefaultSelector() as one:
            one.register(fd, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if one.select(left) and self._is_over(fd, code):
                    return

    def _is_over(self, fd: int, code: int) -> bool:
        try:
            events = _parse(os.read(fd, _EVENT.size * 64))
        except OSError:  # pulled out while it was held
            return True
        return (code, _UP) in events

    def _read_terminal(self) -> None:
        assert self._terminal is not None
        typed = read_typed(self._terminal)
        if is_escape(typed):
            raise _ended()
        if not typed:
            self._selector.unregister(self._terminal)

    def _read(self, fd: int) -> tuple[tuple[int, int], ...]:
        """Return code and value of the keys a node sent; one that has gone is closed."""
        try:
            content = os.read(fd, _EVENT.size * 64)
        except BlockingIOError:
            return ()
        except OSError:  # ENODEV: it was pulled out
            content = b""
        if not content:
            self._selector.unregister(fd)
            os.close(self._open.pop(self.name(fd)))
        return _parse(content)

    def _refresh(self) -> str | None:
        """Open every node that is not open yet; return one that may not be read."""
        refused = None
        try:
            names = [name for name in os.listdir(self._folder) if name.startswith("event")]
        except FileNotFoundError:
            names = []
        for name in sorted(set(names) - self._open.keys()):
            path = os.path.join(self._folder, name)
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except PermissionError:
                refused = path
            except OSError:  # it has gone again
                continue
            else:
                self._open[name] = fd
                _only_keys(fd)
                self._selector.register(fd, selectors.EVENT_READ)
        return refused


def _parse(content: bytes) -> tuple[tuple[int, int], ...]:
    """Return code and value of each key event."""
    whole = len(content) - len(content) % _EVENT.size
    return tuple(
        (code, value)
        for _, _, kind, code, value in _EVENT.iter_unpack(content[:whole])
        if kind == _EV_KEY
    )


def _only_keys(fd: int) -> None:
    """Have the kernel keep everything but keys and buttons from us."""
    import ctypes

    # A mask for type EV_SYN is one of types: evdev_set_mask(), drivers/input/evdev.c.
    types = ctypes.create_string_buffer(bytes([1 << _EV_KEY]), 8)
    mask = _MASK.pack(_EV_SYN, len(types), ctypes.addressof(types))
    with suppress(OSError):  # a kernel without it: what is not a key is read and dropped
        ioctl(fd, _EVIOCSMASK, mask)
