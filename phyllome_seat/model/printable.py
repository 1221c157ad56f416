"""Text from outside made safe to show: what a device says about itself is input."""

from __future__ import annotations

# A USB string descriptor has at most 126 UTF-16 units: bLength is one byte, USB 2.0, section 9.6.7.
_LONGEST = 126


def printable(text: str | None) -> str | None:
    """Return `text` without what moves a cursor, reorders or hides, None when nothing is left.

    Each such character becomes a blank, so that two words stay two; at most 126 characters.
    """
    if not text:
        return None
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return text[:_LONGEST].strip() or None


def one_line(text: str) -> str:
    """Return `text`, however long, with a blank for each character that is more than a sign."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
