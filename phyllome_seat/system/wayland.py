"""A picture on each monitor of a desktop that runs: a full-screen window of ours, by Wayland.

The only importer of pywayland. A card listens to one master at a time, and on a desktop that is its
compositor: so that is asked. An output is named as its connector is since version 4 of wl_output
(wayland.xml; xdg-output-unstable-v1.xml before). A window says on which outputs it is
(wl_surface.enter): what it does not say is shown nowhere. It may get the keyboard, so Enter and Esc
are taken there too.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import stat
import time
from contextlib import suppress

from phyllome_seat.model.digits import draw_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Any, Self

    Proxy = Any  # pywayland makes its classes of the protocol's XML

_RUN = "/run/user"
_LIMIT_S = 3.0
# The versions that say an output's name; GNOME and others said it by the older one first.
_NAMED, _NAMED_BY_XDG = 4, 2
_XRGB8888 = 1  # enum wl_shm.format
_KEYBOARD, _PRESSED = 2, 1  # enum wl_seat.capability, enum wl_keyboard.key_state
_ENDS = {1, 28, 96}  # KEY_ESC, KEY_ENTER, KEY_KPENTER: input-event-codes.h
# No screen is smaller, or larger: the other side is a user's, and may say anything.
_LEAST, _MOST_PIXELS = 64, 1 << 26


class NoWaylandError(Exception):
    """The Python binding of Wayland is not installed."""


class Desktop:
    """A desktop that runs, for a ``with``. Raises OSError; NoWaylandError without pywayland."""

    def __init__(self, path: str) -> None:
        try:
            from pywayland.client import Display
            from pywayland.protocol import wayland, xdg_output_unstable_v1, xdg_shell
        except ImportError as error:
            raise NoWaylandError from error
        self._kinds = {
            "wl_compositor": (wayland.WlCompositor, 3),
            "wl_shm": (wayland.WlShm, 1),
            "xdg_wm_base": (xdg_shell.XdgWmBase, 1),
            "wl_seat": (wayland.WlSeat, 1),
            "wl_output": (wayland.WlOutput, _NAMED),
            "zxdg_output_manager_v1": (xdg_output_unstable_v1.ZxdgOutputManagerV1, _NAMED_BY_XDG),
        }
        self._bound: dict[str, Proxy] = {}
        self._unnamed: list[Proxy] = []
        self._names: dict[Proxy, str] = {}
        self._keep: list[Proxy] = []  # a proxy that nobody has is destroyed
        self._is_ended = False
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.settimeout(_LIMIT_S)
            peer.connect(path)
            peer.setblocking(False)
        except OSError:
            peer.close()
            raise
        self._display = Display(peer.detach())
        try:
            self._display.connect()
        except ValueError as error:
            raise OSError(f"{path}: no desktop answers") from error

    def __enter__(self) -> Self:
        try:
            registry = self._display.get_registry()
            registry.dispatcher["global"] = self._find
            self._keep.append(registry)
            self._sync()  # what there is
            self._ask_names()
            self._sync()  # what that says of itself
            missing = {"wl_compositor", "wl_shm", "xdg_wm_base"} - self._bound.keys()
            if missing:
                raise OSError(f"its desktop has no {', '.join(sorted(missing))}")
        except BaseException:
            self._display.disconnect()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the windows away."""
        self._display.disconnect()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the desktop says something."""
        descriptor: int = self._display.get_fd()
        return descriptor

    def read(self) -> bool:
        """Take what the desktop says; return whether Enter or Esc was pressed in a window of ours.

        Raises OSError where the desktop has gone.
        """
        self._dispatch(0.0)
        return self._is_ended

    def show(self, connector: str, number: int) -> None:
        """Show a number on the monitor of this connector. Raises OSError where that is not seen."""
        outputs = [p for p, name in self._names.items() if _plain(name) == _plain(connector)]
        if len(outputs) != 1:  # cards of one desktop may have connectors of one name
            count = len(outputs) or "no"
            raise OSError(f"its desktop has {count} monitors that it calls {connector}")
        window = _Window(self._bound, outputs[0], self._keep)
        self._until(lambda: window.size is not None)
        window.draw(number)
        self._until(lambda: outputs[0] in window.seen_on)
        if outputs[0] not in window.seen_on:
            raise OSError("its desktop did not show it there")

    # -- the protocol ------------------------------------------------------------------------------

    def _find(self, registry: Proxy, number: int, interface: str, version: int) -> None:
        if interface not in self._kinds:
            return
        kind, most = self._kinds[interface]
        proxy = registry.bind(number, kind, min(version, most))
        self._keep.append(proxy)
        self._bound.setdefault(interface, proxy)
        if interface == "wl_output" and version >= _NAMED:
            proxy.dispatcher["name"] = self._names.__setitem__
        elif interface == "wl_output":
            self._unnamed.append(proxy)
        elif interface == "xdg_wm_base":
            proxy.dispatcher["ping"] = lambda base, serial: base.pong(serial)
        elif interface == "wl_seat":
            proxy.dispatcher["capabilities"] = self._find_keyboard

    def _ask_names(self) -> None:
        """Ask what outputs are called that do not say so themselves."""
        manager = self._bound.get("zxdg_output_manager_v1")
        if manager is None:
            return
        for output in self._unnamed:
            described = manager.get_xdg_output(output)
            described.dispatcher["name"] = lambda _, name, of=output: self._names.update({of: name})
            self._keep.append(described)

    def _find_keyboard(self, seat: Proxy, capabilities: int) -> None:
        if capabilities & _KEYBOARD:
            keyboard = seat.get_keyboard()
            keyboard.dispatcher["keymap"] = lambda _, kind, fd, size: os.close(fd)
            keyboard.dispatcher["key"] = self._press
            self._keep.append(keyboard)

    def _press(self, _: Proxy, serial: int, time_ms: int, key: int, state: int) -> None:
        self._is_ended |= state == _PRESSED and key in _ENDS

    def _sync(self) -> None:
        done: list[int] = []
        callback = self._display.sync()
        callback.dispatcher["done"] = lambda _, data: done.append(data)
        self._until(lambda: bool(done))
        if not done:
            raise OSError(f"its desktop did not answer within {_LIMIT_S:g} s")

    def _until(self, is_so: Callable[[], bool]) -> None:
        """Take what the desktop says until something is so, for a few seconds at most."""
        end = time.monotonic() + _LIMIT_S
        while not is_so() and (left := end - time.monotonic()) > 0:
            self._dispatch(left)

    def _dispatch(self, limit_s: float) -> None:
        try:
            self._display.dispatch()
            if self._display.flush() < 0:
                raise OSError("its desktop takes no more")
            if select.select([self], [], [], limit_s)[0]:
                self._display.read()
                self._display.dispatch()
            self._display.flush()
        except RuntimeError as error:  # pywayland's, of any trouble
            raise OSError(f"its desktop: {error}") from error


class _Window:
    """A full-screen window on one output."""

    def __init__(self, bound: dict[str, Proxy], output: Proxy, keep: list[Proxy]) -> None:
        self.size: tuple[int, int] | None = None
        self.seen_on: list[Proxy] = []
        self._asked = (0, 0)
        self._shm = bound["wl_shm"]
        self._keep = keep
        self._surface = bound["wl_compositor"].create_surface()
        self._surface.dispatcher["enter"] = lambda _, where: self.seen_on.append(where)
        shell = bound["xdg_wm_base"].get_xdg_surface(self._surface)
        shell.dispatcher["configure"] = self._configure
        window = shell.get_toplevel()
        window.dispatcher["configure"] = self._ask
        window.set_title("phyllome-seat identify")
        window.set_app_id("phyllome-seat")
        window.set_fullscreen(output)
        self._surface.commit()
        keep += [self._surface, shell, window]

    def _ask(self, _: Proxy, width: int, height: int, states: object) -> None:
        self._asked = width, height

    def _configure(self, shell: Proxy, serial: int) -> None:
        shell.ack_configure(serial)
        self.size = self._asked

    def draw(self, number: int) -> None:
        """Draw a number as large as the window. Raises OSError."""
        width, height = self.size or (0, 0)
        if min(width, height) < _LEAST or width * height > _MOST_PIXELS:
            raise OSError(f"its desktop gives a window of {width}×{height}")
        stride, size = width * 4, width * height * 4
        fd = os.memfd_create("phyllome-seat")
        try:
            os.ftruncate(fd, size)
            with mmap.mmap(fd, size) as pixels:
                draw_number(pixels, number, width, height, stride)
            pool = self._shm.create_pool(fd, size)
        finally:
            os.close(fd)
        buffer = pool.create_buffer(0, width, height, stride, _XRGB8888)
        self._surface.attach(buffer, 0, 0)
        self._surface.damage(0, 0, width, height)
        self._surface.commit()
        self._keep += [pool, buffer]


def find_desktops(users: Iterable[int]) -> Iterator[str]:
    """Yield the sockets on which desktops of these users (uids) listen."""
    for user in sorted(set(users)):
        folder = f"{_RUN}/{user}"
        with suppress(OSError):
            for name in sorted(os.listdir(folder)):
                path = f"{folder}/{name}"
                if name.startswith("wayland-") and stat.S_ISSOCK(os.lstat(path).st_mode):
                    yield path


def _plain(connector: str) -> str:
    """Return a connector's name as all desktops have it: GNOME's HDMI-1 is the kernel's HDMI-A-1
    (make_connector_name(), mutter, src/backends/native/meta-kms-connector.c).
    """
    return connector.replace("HDMI-A-", "HDMI-")
