"""Pictures on the connectors of one card, and what was there before back again.

Mode setting by the oldest calls, which every driver has: drm-kms(7), and the structs of
include/uapi/drm/drm_mode.h. A card listens to one master at a time: while a desktop is that, nobody
else can show anything (drivers/gpu/drm/drm_auth.c). When the last program closes a card, the kernel
puts its text console back by itself, also after SIGKILL, and on a screen that was off before, too:
there it is black (seen with bochs-drm in 6.12; drm_lastclose(), drivers/gpu/drm/drm_file.c).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from contextlib import suppress
from fcntl import ioctl

from phyllome_seat.model.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

_SET_MASTER, _DROP_MASTER = 0x641E, 0x641F
# By connector_type: drm_connector_enum_list, drivers/gpu/drm/drm_connector.c.
_TYPES = (
    *("Unknown", "VGA", "DVI-I", "DVI-D", "DVI-A", "Composite", "SVIDEO", "LVDS", "Component"),
    *("DIN", "DP", "HDMI-A", "HDMI-B", "TV", "eDP", "Virtual", "DSI", "DPI", "Writeback", "SPI"),
    "USB",
)
_CONNECTED = 1
_MODE_BYTES = 68  # struct drm_mode_modeinfo

_RESOURCES = struct.Struct("=4Q8I")
_CRTC = struct.Struct(f"=Q7I{_MODE_BYTES}s")
_ENCODER = struct.Struct("=5I")
_CONNECTOR = struct.Struct("=4Q12I")
_BUFFER = struct.Struct("=6IQ")
_FRAME = struct.Struct("=7I")
_MAP = struct.Struct("=2IQ")
_DIRTY = struct.Struct("=4IQ")
_ONE = struct.Struct("=I")


def _call(fd: int, number: int, shape: struct.Struct, *values: object) -> tuple[Any, ...]:
    """Return what the kernel answers in the struct it was given."""
    argument = bytearray(shape.pack(*values))
    ioctl(fd, 3 << 30 | shape.size << 16 | ord("d") << 8 | number, argument)
    return shape.unpack(argument)


@dataclass(frozen=True, slots=True)
class Lit:
    """A picture of ours that is shown: its buffer as memory, a line `stride` bytes long."""

    width: int
    height: int
    stride: int
    frame: int
    pixels: mmap.mmap


@dataclass(frozen=True, slots=True)
class _Connector:
    """One connector; ``mode`` is its preferred one, ``encoder`` what it is on now or 0."""

    number: int
    name: str
    is_connected: bool
    mode: bytes | None
    encoder: int
    encoders: tuple[int, ...]


class Card:
    """One card whose screens are ours, for a ``with``. Raises OSError; EBUSY: a desktop's."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            ioctl(self._fd, _SET_MASTER)
            self._crtcs, connectors = self._read_resources()
            self._connectors = {number: self._read_connector(number) for number in connectors}
        except BaseException:
            os.close(self._fd)
            raise
        self._before: dict[int, tuple[tuple[Any, ...], list[int]]] = {}
        self._buffers: list[tuple[int, int]] = []
        self._lit: list[Lit] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Show what was shown before."""
        try:
            for crtc, (was, connectors) in self._before.items():
                with suppress(OSError):
                    self._set(
                        crtc, was[3], was[8] if was[7] else None, connectors, (was[4], was[5])
                    )
            for lit in self._lit:
                lit.pixels.close()
            for frame, handle in self._buffers:
                with suppress(OSError):
                    _call(self._fd, 0xAF, _ONE, frame)
                with suppress(OSError):
                    _call(self._fd, 0xB4, _ONE, handle)
            with suppress(OSError):
                ioctl(self._fd, _DROP_MASTER)
        finally:
            os.close(self._fd)

    def _read_resources(self) -> tuple[list[int], list[int]]:
        """Return the ids of the CRTCs, in the order of an encoder's bits, and of the connectors."""
        counts = _call(self._fd, 0xA0, _RESOURCES, *[0] * 12)[4:8]
        lists = [(ctypes.c_uint32 * count)() for count in counts]
        # Only what is asked for: fbs, CRTCs, connectors, encoders.
        asked = [0, ctypes.addressof(lists[1]), ctypes.addressof(lists[2]), 0]
        _call(self._fd, 0xA0, _RESOURCES, *asked, 0, counts[1], counts[2], *[0] * 5)
        return list(lists[1]), list(lists[2])

    def _read_connector(self, number: int) -> _Connector:
        first = _call(self._fd, 0xA7, _CONNECTOR, *[0] * 8, number, *[0] * 7)
        modes = ctypes.create_string_buffer(_MODE_BYTES * max(1, first[4]))
        encoders = (ctypes.c_uint32 * max(1, first[6]))()
        found = _call(
            self._fd,
            0xA7,
            _CONNECTOR,
            *(ctypes.addressof(encoders), ctypes.addressof(modes), 0, 0),
            *(first[4], 0, first[6], 0, number),
            *[0] * 7,
        )
        name = f"{_TYPES[found[9]] if found[9] < len(_TYPES) else 'Unknown'}-{found[10]}"
        count = min(first[4], found[4])
        return _Connector(
            number,
            name,
            found[11] == _CONNECTED,
            modes.raw[:_MODE_BYTES] if count else None,  # the preferred one comes first
            found[7],
            tuple(encoders)[: min(first[6], found[6])],
        )

    def light(self, name: str) -> Lit | None:
        """Return a picture of ours, all black, on the connector of this name.

        None where it has no monitor, or no CRTC is left for it. Raises OSError.
        """
        connector = next((c for c in self._connectors.values() if c.name == name), None)
        if connector is None or not connector.is_connected or connector.mode is None:
            return None
        crtc = self._find_crtc(connector)
        if crtc is None:
            return None
        was = _call(self._fd, 0xA1, _CRTC, 0, 0, crtc, *[0] * 5, b"")
        mode = was[8] if was[7] and self._crtc_of(connector) == crtc else connector.mode
        self._before[crtc] = (
            was,
            [other.number for other in self._connectors.values() if self._crtc_of(other) == crtc],
        )
        return self._show(crtc, connector, mode)

    def _show(self, crtc: int, connector: _Connector, mode: bytes) -> Lit:
        width, height = struct.unpack_from("=4xH8xH", mode)
        made = _call(self._fd, 0xB2, _BUFFER, height, width, 32, 0, 0, 0, 0)
        handle, stride, size = made[4:]
        frame = _call(self._fd, 0xAE, _FRAME, 0, width, height, stride, 32, 24, handle)[0]
        self._buffers.append((frame, handle))
        offset = _call(self._fd, 0xB3, _MAP, handle, 0, 0)[2]
        pixels = mmap.mmap(self._fd, size, offset=offset)
        lit = Lit(width, height, stride, frame, pixels)
        self._lit.append(lit)
        self._set(crtc, frame, mode, [connector.number])
        return lit

    def _crtc_of(self, connector: _Connector) -> int:
        """Return the CRTC that a connector shows now, 0 for none."""
        if not connector.encoder:
            return 0
        crtc: int = _call(self._fd, 0xA6, _ENCODER, connector.encoder, *[0] * 4)[2]
        return crtc

    def _find_crtc(self, connector: _Connector) -> int | None:
        """Return the CRTC of a connector, or one that nobody has."""
        now = self._crtc_of(connector)
        if now and now not in self._before:
            return now
        used = {*self._before, *map(self._crtc_of, self._connectors.values())}
        for encoder in connector.encoders:
            possible = _call(self._fd, 0xA6, _ENCODER, encoder, *[0] * 4)[3]
            for bit, crtc in enumerate(self._crtcs):
                if possible >> bit & 1 and crtc not in used:
                    return crtc
        return None

    def _set(
        self,
        crtc: int,
        frame: int,
        mode: bytes | None,
        connectors: list[int],
        place: tuple[int, int] = (0, 0),
    ) -> None:
        """Have a CRTC show a frame, or nothing."""
        if not frame or mode is None or not connectors:
            _call(self._fd, 0xA2, _CRTC, 0, 0, crtc, *[0] * 5, b"")
            return
        ids = (ctypes.c_uint32 * len(connectors))(*connectors)
        values = (ctypes.addressof(ids), len(connectors), crtc, frame, *place, 0, 1, mode)
        _call(self._fd, 0xA2, _CRTC, *values)

    def flush(self, lit: Lit) -> None:
        """Tell the card that the picture has changed: some keep a copy; others say no to this."""
        with suppress(OSError):
            _call(self._fd, 0xB1, _DIRTY, lit.frame, 0, 0, 0, 0)
