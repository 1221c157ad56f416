"""What a seat file is made of: its vocabulary, and one reading of nodes against it.

``KEYS``, ``CHOICES`` and ``PATTERNS`` are all there is to write; ``seats/seat-file.schema.json``
says the same to editors, and a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TypeVar

from phyllome_seat.model.cores import parse_cpus
from phyllome_seat.model.errors import AddressError, SeatFileError
from phyllome_seat.model.yaml_node import Mapping, Node, Scalar, Sequence

# The keys of each mapping, and whether one must be there. The mappings have the names of the
# schema's definitions; "file" is the whole file.
KEYS: dict[str, dict[str, bool]] = {
    "file": {"version": True, "host": False, "seats": True},
    "host": {
        "console": False,
        "cpus": False,
        "memory": False,
        "unknown-usb": False,
        "gives-up": False,
    },
    "given-up": {"function": False, "port": False, "device": False},
    "seat": {"gpu": False, "monitor": False, "usb": False, "when-off": False, "guest": False},
    "pci": {"pci": True, "id": True},
    "monitor": {"maker": False, "name": False, "serial": False},
    "usb": {"port": False, "controller": False, "device": False},
    "port": {"controller": True, "id": True, "usb2": False, "usb3": False},
    "device": {"id": True, "serial": False},
    "guest": {"domain": False, "create": False},
    "create": {
        "name": True,
        "profile": False,
        "firmware": False,
        "cpus": True,
        "pin": False,
        "memory": True,
        "disk": False,
    },
    "disk": {"path": True, "size": False},
}
EXACTLY_ONE = {
    "given-up": ("function", "port", "device"),
    "usb": ("port", "controller", "device"),
    "guest": ("domain", "create"),
}
AT_LEAST_ONE = {"monitor": ("maker", "name", "serial"), "port": ("usb2", "usb3")}
CHOICES = {
    "version": ("1",),
    "console": ("keep", "none"),
    "when-off": ("wait", "host"),
    "firmware": ("efi", "bios"),
    "profile": ("plain",),
}
PATTERNS = {
    "seat": "(?!(host|ask)$)[a-z][a-z0-9-]{0,30}",
    "owner": "[a-z][a-z0-9-]{0,30}",
    "name": "[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}",
    "path": "(?=.{2,4001}$)(/(?!\\.{1,2}(/|$))[^/\\x00-\\x1f\\x7f-\\x9f]+)+",
    "size": "[1-9][0-9]{0,14}(TiB|GiB|MiB|KiB|B)",
    "cpus": "[1-9][0-9]{0,3}",
    "pin": "[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?){0,999}",
}
SIZES = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
_IN_WORDS = {
    "seat": "a seat name (a letter a-z, then letters a-z, digits or -, at most 31; not host, ask)",
    "owner": "host, ask or a seat name",
    "name": "a name for the guest (a letter or digit, then letters, digits or _.+-, at most 63)",
    "path": "an absolute path (starting with /, without //, . and ..)",
    "size": "a size like 512MiB or 16GiB",
    "cpus": "a number of CPUs",
    "pin": "numbers of the host's CPUs, each once (4-7,12-15)",
}
_LONGEST_TEXT = 255

T = TypeVar("T")


class Reading:
    """One reading of one file: a value, or None after its problem was noted.

    Each method takes the node of a key and its place in the file ("seats.left.gpu"); the node
    None, for a key that is not there, gives None and no problem.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[SeatFileError] = []

    def problem(self, node: Node, place: str, expected: str, nearest: str = "") -> None:
        """Note what is wrong at a node."""
        self.problems.append(SeatFileError(self.file, node.line, place, expected, nearest=nearest))

    def expected(self, node: Node, place: str, expected: str, nearest: str = "") -> None:
        """Note that something else was expected than what the node is."""
        self.problem(node, place, f"expected {expected}, found {found(node)}", nearest)

    def pairs(self, node: Mapping, place: str) -> Iterator[tuple[Scalar, Node]]:
        """Yield keys and values; a key that is no text, or written before, is a problem."""
        lines: dict[str, int] = {}
        for key, value in node.pairs:
            if not isinstance(key, Scalar):
                self.expected(key, place, "a word as key")
            elif key.text in lines:
                expected = f"{key.text!r} is here a second time, first in line {lines[key.text]}"
                self.problem(key, place, expected)
            else:
                lines[key.text] = key.line
                yield key, value

    def keys(self, node: Node | None, place: str, name: str) -> dict[str, Node] | None:
        """Return the values of a mapping of ``KEYS``; what is missing or unknown is a problem."""
        if node is None:
            return None
        known = KEYS[name]
        if not isinstance(node, Mapping):
            self.expected(node, place, f"keys and values ({', '.join(known)})")
            return None
        values = {}
        for key, value in self.pairs(node, place):
            if key.text in known:
                values[key.text] = value
            else:
                self.expected(key, place, f"one of {', '.join(known)}", nearest(key.text, known))
        for word, is_required in known.items():
            if is_required and word not in values:
                self.problem(node, place, f"expected the key {word!r} here")
        self._counted(node, place, name, values)
        return values

    def _counted(self, node: Node, place: str, name: str, values: dict[str, Node]) -> None:
        """Note where exactly one, or at least one, of some keys should be there."""
        one_of = EXACTLY_ONE.get(name)
        if one_of and sum(key in values for key in one_of) != 1:
            both = " and ".join(key for key in one_of if key in values) or "none"
            self.problem(node, place, f"expected either {' or '.join(one_of)}, found {both}")
        some_of = AT_LEAST_ONE.get(name)
        if some_of and not any(key in values for key in some_of):
            self.problem(node, place, f"expected at least one of {', '.join(some_of)}")

    def choice(self, node: Node | None, place: str, name: str) -> str | None:
        """Return one word of ``CHOICES``."""
        if node is None:
            return None
        words = CHOICES[name]
        if isinstance(node, Scalar) and node.text in words:
            return node.text
        near = nearest(node.text, words) if isinstance(node, Scalar) else ""
        self.expected(
            node, place, " or ".join(words), near or (words[0] if len(words) == 1 else "")
        )
        return None

    def pattern(self, node: Node | None, place: str, name: str, near: str = "") -> str | None:
        """Return a text that is one of ``PATTERNS`` whole."""
        if node is None:
            return None
        text = node.text if isinstance(node, Scalar) and not node.is_null else ""
        if re.fullmatch(PATTERNS[name], text):
            return text
        self.expected(node, place, _IN_WORDS[name], near)
        return None

    def text(self, node: Node | None, place: str) -> str | None:
        """Return a text that a person can read."""
        if node is None:
            return None
        if isinstance(node, Scalar) and not node.is_null and is_readable(node.text):
            return node.text
        self.expected(node, place, f"a text (at most {_LONGEST_TEXT} printable characters)")
        return None

    def parsed(self, node: Node | None, place: str, parse: Callable[[str], T]) -> T | None:
        """Return the address or id that a text is."""
        if node is None:
            return None
        text = node.text if isinstance(node, Scalar) and not node.is_null else ""
        try:
            return parse(text)
        except AddressError as error:
            # Its hint is the right form of the text, or where to look it up.
            near = error.hint.removeprefix("write ") if error.hint.startswith("write ") else ""
            self.expected(node, place, error.expected, near)
            return None

    def size(self, node: Node | None, place: str) -> int | None:
        """Return a size in bytes."""
        near = ""
        if isinstance(node, Scalar):
            close = re.fullmatch("([1-9][0-9]{0,14})[ _]*([kmgt])i?b?", node.text, re.IGNORECASE)
            near = f"{close[1]}{close[2].upper()}iB" if close else ""
        text = self.pattern(node, place, "size", near)
        if text is None:
            return None
        number = text.rstrip("TGMKiB")
        return int(number) * SIZES[text.removeprefix(number)]

    def cpus(self, node: Node | None, place: str) -> int | None:
        """Return a number of CPUs."""
        text = self.pattern(node, place, "cpus")
        return int(text) if text else None

    def pin(self, node: Node | None, place: str, cpus: int | None) -> tuple[int, ...]:
        """Return the host's CPUs for the `cpus` of a guest, one each."""
        text = self.pattern(node, place, "pin")
        if node is None or text is None:
            return ()
        numbers = parse_cpus(text)
        if numbers is None:
            self.expected(node, place, _IN_WORDS["pin"])
            return ()
        if cpus is not None and len(numbers) != cpus:
            count = f"as many CPUs as `cpus` says ({cpus}), found {len(numbers)}"
            self.problem(node, place, f"expected {count}")
        return numbers


def found(node: Node) -> str:
    """Return what a node is, in words for a person."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "keys and values"
    if node.is_null:
        return "nothing"
    return repr(node.text if len(node.text) <= 60 else node.text[:57] + "...")


def nearest(text: str, words: tuple[str, ...] | dict[str, bool]) -> str:
    """Return the word that `text` is likely to mean, or an empty text."""
    # The first characters tell; comparing a text of any length would take its square.
    close = get_close_matches(text[:64].lower(), words, n=1)
    return close[0] if close else ""


def is_readable(text: str) -> bool:
    """Whether a text is one line without anything that acts on a terminal or is no character."""
    return 0 < len(text) <= _LONGEST_TEXT and text.isprintable() and not text.isspace()
