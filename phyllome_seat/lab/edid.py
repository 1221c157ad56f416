"""A monitor's EDID, written: what the lab's monitors say of themselves.

Layout: VESA E-EDID Standard Release A2, section 3 (base block, version 1.4).
"""

from __future__ import annotations

import struct

from phyllome_seat.lab.description import Screen

_HEADER = bytes.fromhex("00ffffffffffff00")
_SRGB = bytes.fromhex("ee91a3544c99260f5054")  # chromaticity of the sRGB primaries
_REFRESH_HZ = 60


def render_edid(screen: Screen) -> bytes:
    """Returns the 128 bytes of a digital monitor with one mode, its name and its serial."""
    maker = 0
    for letter in screen.maker:
        maker = maker << 5 | ord(letter) - ord("A") + 1
    width_cm, height_cm = (round(pixels * 2.54 / 96) for pixels in (screen.width, screen.height))
    block = (
        _HEADER
        + struct.pack(">H", maker)
        + struct.pack("<HI", screen.product, 0)  # the serial is a text, in a descriptor
        + bytes((1, 2024 - 1990, 1, 4))  # week, year, EDID 1.4
        + bytes((0xA5, min(width_cm, 255), min(height_cm, 255), 120, 0x06))  # DisplayPort, 8 bits
        + _SRGB
        + bytes(3)  # no established timings
        + b"\x01\x01" * 8  # no standard timings
        + _mode(screen)
        + _text(0xFC, screen.name)
        + (_text(0xFF, screen.serial) if screen.serial else _UNUSED)
        + _UNUSED
        + b"\0"  # no extensions
    )
    return block + bytes((-sum(block) % 256,))


_UNUSED = bytes((0, 0, 0, 0x10)) + bytes(14)


def _text(tag: int, text: str) -> bytes:
    """Returns a descriptor of 13 characters, ended by a line feed when shorter (3.10.3)."""
    body = text.encode("ascii")
    if len(body) < 13:
        body = (body + b"\n").ljust(13, b" ")
    return bytes((0, 0, 0, tag, 0)) + body


def _mode(screen: Screen) -> bytes:
    """Returns the detailed timing of the preferred mode, with reduced blanking (3.10.2)."""
    across, down = screen.width, screen.height
    blank_x, blank_y = 160, 40
    clock = (across + blank_x) * (down + blank_y) * _REFRESH_HZ // 10_000
    width_mm, height_mm = (round(pixels * 25.4 / 96) for pixels in (across, down))
    return struct.pack("<H", clock) + bytes(
        (
            across & 0xFF,
            blank_x & 0xFF,
            (across >> 8) << 4 | blank_x >> 8,
            down & 0xFF,
            blank_y & 0xFF,
            (down >> 8) << 4 | blank_y >> 8,
            48,  # horizontal sync: offset
            32,  # and width
            3 << 4 | 6,  # vertical sync: offset and width
            0,
            width_mm & 0xFF,
            height_mm & 0xFF,
            (width_mm >> 8) << 4 | height_mm >> 8,
            0,
            0,
            0x1A,  # digital separate sync
        )
    )
