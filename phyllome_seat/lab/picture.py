"""Pictures of monitors: as QEMU writes them, and as people read them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """What a monitor shows: rows from the top, three bytes (red, green, blue) a pixel."""

    width: int
    height: int
    rgb: bytes


def parse_ppm(data: bytes) -> Picture:
    """Return the picture in a binary PPM (P6, 8 bits a channel), which QEMU's `screendump` writes.

    ValueError when it is not one, or ends early. Source: ppm(5) of netpbm.
    """
    fields: list[bytes] = []
    at = 0
    while len(fields) < 4:
        line_end = data.find(b"\n", at)
        if line_end < 0:
            raise ValueError("not a PPM picture: its header does not end")
        fields += data[at:line_end].split(b"#", 1)[0].split()
        at = line_end + 1
    sized = fields[1].isdigit() and fields[2].isdigit()
    if fields[0] != b"P6" or fields[3] != b"255" or not sized:
        raise ValueError(f"not an 8-bit binary PPM picture: starts with {data[:16]!r}")
    width, height = int(fields[1]), int(fields[2])
    rgb = data[at : at + width * height * 3]
    if len(rgb) < width * height * 3:
        raise ValueError(f"PPM picture ends early: {len(rgb)} of {width * height * 3} bytes")
    return Picture(width, height, rgb)


def render_ppm(picture: Picture) -> bytes:
    """Return the picture as a binary PPM file."""
    return b"P6\n%d %d\n255\n" % (picture.width, picture.height) + picture.rgb


def render_png(picture: Picture) -> bytes:
    """Return the picture as a PNG file, for people. Source: RFC 2083, sections 3 and 4."""
    step = picture.width * 3
    rows = b"".join(  # each row starts with its filter: none
        b"\0" + picture.rgb[y * step : (y + 1) * step] for y in range(picture.height)
    )
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
