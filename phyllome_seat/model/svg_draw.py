"""Shapes and text as SVG: every text is escaped here, so that no name of a device is ever markup.

Elements and attributes are those of SVG 1.1, styles are attributes: the picture needs nothing but
itself. A text is one line of signs (control characters and lone surrogates are not XML's), cut to
the room it has; the whole of it is its tooltip.
"""

from __future__ import annotations

from phyllome_seat.model.printable import one_line

FONT = "system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif"
INK, MUTED, LINE, PAPER = "#1d2433", "#667085", "#c5ccd8", "#ffffff"
HOST_FILL, HOST_LINE = "#e3e6ec", "#9aa3b2"
# Stroke and tint of each seat, told apart also by who sees red and green alike: Okabe and Ito.
SEATS = (
    *(("#0072b2", "#d6eaf6"), ("#d55e00", "#fbe3d3"), ("#009e73", "#d3f0e6")),
    *(("#8a4fbf", "#eadff6"), ("#b8860b", "#f8ecc8"), ("#c2447e", "#f8dcea")),
    *(("#3f7f9f", "#d9e9f0"), ("#6b7f1f", "#e9efcf")),
)
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_SIGN_WIDTH = 0.56  # of the font's size: a wide sans-serif's mean


def escape(text: str) -> str:
    """Return a text as XML holds it, in an element or an attribute."""
    return "".join(_ESCAPES.get(char, char) for char in one_line(text))


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float = 12,
    width: float | None = None,
    fill: str = INK,
    is_bold: bool = False,
    anchor: str = "start",
) -> str:
    """Return a line of text, cut to `width`, with all of it as its tooltip where it is cut."""
    shown = cut(words, width, size * (1.06 if is_bold else 1))
    tip = f"<title>{escape(words)}</title>" if shown != words else ""
    weight = ' font-weight="600"' if is_bold else ""
    where = f'x="{x:g}" y="{y:g}" font-size="{size:g}"'
    return f'<text {where} fill="{fill}" text-anchor="{anchor}"{weight}>{tip}{escape(shown)}</text>'


def cut(words: str, width: float | None, size: float) -> str:
    """Return as much of a text as has room, with an ellipsis where it is not all."""
    if width is None:
        return words
    room = max(1, int(width / (size * _SIGN_WIDTH)))
    wide = sum(1 + (ord(char) > 0x2E7F) for char in words)  # from there on signs are wide
    if wide <= room:
        return words
    if wide > len(words):
        room //= 2
    return words[: max(1, room - 1)].rstrip() + "…"


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str = PAPER,
    stroke: str = LINE,
    radius: float = 8,
    line: float = 1.5,
    is_dashed: bool = False,
) -> str:
    """Return a rectangle with round corners."""
    dashes = ' stroke-dasharray="6 4"' if is_dashed else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="{line:g}"{dashes}/>'
    )


def circle(x: float, y: float, radius: float, *, fill: str = "none", stroke: str = LINE) -> str:
    """Return a circle."""
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}" stroke="{stroke}" '
        'stroke-width="1.5"/>'
    )


def curve(x: float, y: float, to_x: float, to_y: float, stroke: str) -> str:
    """Return a cable from one place to another, leaving and arriving level."""
    middle = (x + to_x) / 2
    path = f"M {x:g} {y:g} C {middle:g} {y:g} {middle:g} {to_y:g} {to_x:g} {to_y:g}"
    return f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="2.5"/>'


def moved(x: float, y: float, parts: list[str]) -> str:
    """Return parts as a group, moved."""
    return f'<g transform="translate({x:g} {y:g})">' + "".join(parts) + "</g>"


def document(width: float, height: float, title: str, parts: list[str]) -> str:
    """Return a whole picture; ends with a line feed."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">'
    ground = f'<rect width="{width:g}" height="{height:g}" fill="#f6f7fa"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, *parts, "</svg>"]) + "\n"
