"""A number as large as a screen, made of rectangles: no font is needed for ten digits."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

    Rectangle = tuple[int, int, int, int]  # left, top, width, height in pixels

_INK, _GROUND = b"\xff\xff\xff\x00", b"\x50\x28\x10\x00"  # XRGB8888, little-endian: blue first

# Seven strokes: A on top, then clockwise B C D E F, G in the middle.
_STROKES = ("ABCDEF", "BC", "ABGED", "ABGCD", "FGBC", "AFGCD", "AFGEDC", "ABC", "ABCDEFG", "ABCDFG")


def number_rectangles(number: int, width: int, height: int) -> tuple[Rectangle, ...]:
    """Return the strokes of `number`, not negative, in the middle of a screen of this size."""
    digits = str(number)
    tall = min(height * 3 // 5, width * 3 // 2 // (len(digits) + 1))
    wide, stroke, gap = tall // 2, max(1, tall // 8), tall // 6
    left = (width - len(digits) * wide - (len(digits) - 1) * gap) // 2
    top = (height - tall) // 2
    return tuple(
        rectangle
        for place, digit in enumerate(digits)
        for rectangle in _digit(digit, (left + place * (wide + gap), top, wide, tall), stroke)
    )


def draw_number(pixels: mmap, number: int, width: int, height: int, stride: int) -> None:
    """Draw `number` as large as a screen, in XRGB8888 with lines of `stride` bytes."""
    line = (_GROUND * width).ljust(stride, b"\0")
    pixels[: stride * height] = line * height
    for left, top, wide, tall in number_rectangles(number, width, height):
        for row in range(top, top + tall):
            start = row * stride + left * 4
            pixels[start : start + wide * 4] = _INK * wide


def _digit(digit: str, box: Rectangle, stroke: int) -> tuple[Rectangle, ...]:
    left, top, wide, tall = box
    right, middle, bottom = left + wide - stroke, top + (tall - stroke) // 2, top + tall - stroke
    half = middle - top + stroke
    strokes = {
        "A": (left, top, wide, stroke),
        "B": (right, top, stroke, half),
        "C": (right, middle, stroke, top + tall - middle),
        "D": (left, bottom, wide, stroke),
        "E": (left, middle, stroke, top + tall - middle),
        "F": (left, top, stroke, half),
        "G": (left, middle, wide, stroke),
    }
    return tuple(strokes[name] for name in _STROKES[int(digit)])
