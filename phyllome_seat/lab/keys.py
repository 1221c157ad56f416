"""Characters and keys → QEMU's key codes (QKeyCode, qapi/ui.json), as on a US keyboard."""

from __future__ import annotations

_PLAIN = {
    " ": "spc", "\n": "ret", "\t": "tab", "-": "minus", "=": "equal", "[": "bracket_left",
    "]": "bracket_right", ";": "semicolon", "'": "apostrophe", "`": "grave_accent",
    "\\": "backslash", ",": "comma", ".": "dot", "/": "slash",
}  # fmt: skip
_SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))


def strokes(character: str) -> tuple[str, ...]:
    """Returns the keys to hold down together for a character; ValueError if no key makes it."""
    if character in _PLAIN:
        return (_PLAIN[character],)
    if character.isascii() and (character.islower() or character.isdigit()):
        return (character,)
    if character.isascii() and character.isupper():
        return ("shift", character.lower())
    if character in _SHIFTED:
        return ("shift", *strokes(_SHIFTED[character]))
    raise ValueError(f"{character!r}: no key of a US keyboard")
