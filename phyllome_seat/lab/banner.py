"""The banner of a lab guest: a seat's name, large, on a colour of its own; drawn and recognised.

The guest draws it in C (`data/guest-banner.c`) with the same letters (`data/guest-font.txt`) and
the same formulas, to the byte, so a picture of a monitor can be compared with what must be on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise

from phyllome_seat.lab.picture import Picture

Segment = tuple[int, int, int, int]

FONT_UNIT = 64  # steps a font unit is cut into: whole numbers, so that C and Python hold the same
LETTER_GAP = 1.9
STROKE = 1.15
SPACE_WIDTH = 2.0


@dataclass(frozen=True, slots=True)
class Glyph:
    """One letter as short lines (x1, y1, x2, y2), in steps of 1/64 font unit."""

    width: int
    segments: tuple[Segment, ...]


@cache
def font() -> dict[str, Glyph]:
    """Return the banner's letters by letter, in the font file's order."""
    text = resources.files("phyllome_seat.lab").joinpath("data/guest-font.txt").read_text("ascii")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {line[0]: _parse_glyph(line[1:]) for line in lines}


def _parse_glyph(text: str) -> Glyph:
    segments: list[Segment] = []
    for stroke in text.split("|"):
        points = [(float(x), float(y)) for x, y in (word.split(",") for word in stroke.split())]
        steps = [(round(x * FONT_UNIT), round(y * FONT_UNIT)) for x, y in _round_corners(points)]
        if len(steps) == 1:
            steps *= 2
        segments += [(*a, *b) for a, b in pairwise(steps)]
    return Glyph(max(max(s[0], s[2]) for s in segments), tuple(segments))


def _round_corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the line with its inner corners cut four times (Chaikin's curve); the ends stay."""
    closed = len(points) > 2 and points[0] == points[-1]
    for _ in range(4 if len(points) > 2 else 0):
        cut: list[tuple[float, float]] = []
        for (x1, y1), (x2, y2) in pairwise(points):
            cut.append((0.75 * x1 + 0.25 * x2, 0.75 * y1 + 0.25 * y2))
            cut.append((0.25 * x1 + 0.75 * x2, 0.25 * y1 + 0.75 * y2))
        points = [*cut, cut[0]] if closed else [points[0], *cut[1:-1], points[-1]]
    return points


def name_colour(name: str) -> tuple[int, int, int]:
    """Return the banner's background at its top: one of 360 hues, picked by the name's hash."""
    value = 2166136261  # FNV-1a, 32 bits
    for byte in name.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    hue = (value ^ value >> 11) % 360
    low, high = 38, 128
    rising = low + (high - low) * (hue % 60) // 60
    falling = low + high - rising
    return (
        (high, rising, low),
        (falling, high, low),
        (low, high, rising),
        (low, falling, high),
        (rising, low, high),
        (high, low, falling),
    )[hue // 60]


def render_banner(name: str, width: int, height: int) -> Picture:
    """Return the picture a guest of this name draws on a screen of this size."""
    cover = _Cover(width, height, bytearray(width * height))
    scale = min(0.8 * width / max(_text_width(name), 1), 0.035 * height)
    _draw_text(cover, name, 0.45 * height - 4.5 * scale, scale)
    _draw_text(cover, "phyllome seat", 0.08 * height, 0.005 * height)
    return _paint(cover, name_colour(name))


@dataclass(frozen=True, slots=True)
class _Cover:
    """How much of each pixel the letters cover, 0 to 255, rows from the top."""

    width: int
    height: int
    marks: bytearray


def _paint(cover: _Cover, colour: tuple[int, int, int]) -> Picture:
    rgb = bytearray()
    for y in range(cover.height):
        back = [part * (2 * cover.height - y) // (2 * cover.height) for part in colour]
        shades = [bytes((part * (255 - c) + 250 * c) // 255 for part in back) for c in range(256)]
        marks = cover.marks[y * cover.width : (y + 1) * cover.width]
        rgb += b"".join([shades[mark] for mark in marks])
    return Picture(cover.width, cover.height, bytes(rgb))


def _letter_width(letter: str) -> float:
    glyph = font().get(letter)
    return glyph.width / FONT_UNIT if glyph else SPACE_WIDTH


def _text_width(text: str) -> float:
    width = 0.0
    for letter in text:
        width += _letter_width(letter) + LETTER_GAP
    return width - LETTER_GAP if width > 0 else 0.0


def _draw_text(cover: _Cover, text: str, top: float, scale: float) -> None:
    """Mark the text, centred, its tall letters' top at `top`, `scale` pixels a font unit."""
    pen = (cover.width - _text_width(text) * scale) / 2
    for letter in text:
        glyph = font().get(letter)
        for x1, y1, x2, y2 in glyph.segments if glyph else ():
            start = (pen + x1 * scale / FONT_UNIT, top + y1 * scale / FONT_UNIT)
            end = (pen + x2 * scale / FONT_UNIT, top + y2 * scale / FONT_UNIT)
            _draw_line(cover, start, end, STROKE * scale / 2)
        pen += (_letter_width(letter) + LETTER_GAP) * scale


def _draw_line(
    cover: _Cover, start: tuple[float, float], end: tuple[float, float], radius: float
) -> None:
    """Mark a line with round ends; where lines meet, the stronger mark stays."""
    (x1, y1), (x2, y2) = start, end
    dx, dy = x2 - x1, y2 - y1
    length2 = dx * dx + dy * dy
    columns = _span(x1, x2, radius, cover.width)
    for y in _span(y1, y2, radius, cover.height):
        py = y + 0.5 - y1
        for x in columns:
            px = x + 0.5 - x1
            along = min(1.0, max(0.0, (px * dx + py * dy) / length2)) if length2 > 0 else 0.0
            ex, ey = px - along * dx, py - along * dy
            near = radius + 0.5 - math.sqrt(ex * ex + ey * ey)
            value = int(min(1.0, max(0.0, near)) * 255)
            at = y * cover.width + x
            cover.marks[at] = max(cover.marks[at], value)


def _span(one: float, other: float, radius: float, size: int) -> range:
    """Return the pixels, of so many, that a line between these two places can touch."""
    first = max(0, math.floor(min(one, other) - radius - 1))
    last = min(size - 1, math.ceil(max(one, other) + radius + 1))
    return range(first, last + 1)


GRID = (96, 60)  # recognition compares pictures of this size: small, and still every letter differs
NAME_ROWS = (14, 42)  # rows of it that hold the name; caption above, typed text below
ALIKE = 0.97  # a right name correlates above 0.99, the most alike letters, "a" and "o", 0.957
COLOUR_STEPS = 4  # a screen may round its colours a little


def recognise(picture: Picture, names: tuple[str, ...]) -> str | None:
    """Return the one of the names whose banner the picture shows, None when it shows none.

    Letters and background must both be the name's. Sizes do not matter: the picture of a scaled
    screen is recognised too.
    """
    if picture.width < GRID[0] or picture.height < GRID[1]:
        return None
    seen = _ink(picture)
    corner = picture.rgb[:3]
    scores = {
        name: correlate(seen, _template(name, picture))
        for name in names
        if all(abs(a - b) <= COLOUR_STEPS for a, b in zip(corner, name_colour(name), strict=True))
    }
    best = max(scores, key=lambda name: scores[name], default=None)
    return best if best is not None and scores[best] >= ALIKE else None


def _template(name: str, picture: Picture) -> tuple[float, ...]:
    """Return the ink of the name's banner on a screen of that shape (small: quicker to draw)."""
    height = min(picture.height, 240)
    return _ink(render_banner(name, max(GRID[0], picture.width * height // picture.height), height))


def _ink(picture: Picture) -> tuple[float, ...]:
    """Return how white each cell of the name's rows is: its pixels' smallest channel, averaged."""
    columns, rows = GRID
    cells: list[float] = []
    for row in range(*NAME_ROWS):
        lines = range(row * picture.height // rows, (row + 1) * picture.height // rows)
        for column in range(columns):
            left = column * picture.width // columns
            right = (column + 1) * picture.width // columns
            total = 0
            for y in lines:
                at = (y * picture.width + left) * 3
                end = (y * picture.width + right) * 3
                rgb = picture.rgb
                total += sum(map(min, rgb[at:end:3], rgb[at + 1 : end : 3], rgb[at + 2 : end : 3]))
            cells.append(total / (len(lines) * (right - left)))
    return tuple(cells)


def correlate(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return how alike two equally long rows of numbers are, -1 to 1; 0 when one is flat."""
    mean_one, mean_other = sum(one) / len(one), sum(other) / len(other)
    a = [value - mean_one for value in one]
    b = [value - mean_other for value in other]
    power = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / power if power > 0 else 0.0
