"""YAML text as a tree of nodes that know their line: what `seat_file` reads.

The tree is built from PyYAML's events and keeps each scalar as it was written: YAML 1.1 would make
a number of the unquoted ``0000:01:00.0`` (base 60) and of ``4.10``. No object is ever made. Depth
and size are bounded, so no text of a few lines can stand for millions of nodes by its aliases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from phyllome_seat.model.errors import SeatFileError
from phyllome_seat.model.value import dataclass

_DEEPEST = 20
# All but the characters of YAML 1.1, section 4.1.1. Python reads bytes that are not UTF-8 as half
# of a surrogate pair, so they are among them.
_UNREADABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_NODES = 100_000  # visited when aliases are followed; 64 seats need about 3,000


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text as written; ``is_plain`` is without quotes."""

    text: str
    line: int
    is_plain: bool

    @property
    def is_null(self) -> bool:
        """Whether YAML means nothing by it: https://yaml.org/type/null.html."""
        return self.is_plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the file, repeated keys included."""

    pairs: tuple[tuple[Node, Node], ...]
    line: int


Node = Scalar | Sequence | Mapping


def parse_yaml(text: str, file: str) -> Node:
    """Return the one document of `text`; SeatFileError where it has none, several, or is no YAML.

    A node is shared by all aliases of it, and never holds itself.
    """
    import yaml  # 15 ms, for commands that read a seat file only

    unreadable = _UNREADABLE.search(text)
    if unreadable:
        line = text.count("\n", 0, unreadable.start()) + 1
        found = unreadable.group()
        is_text = not "\ud800" <= found <= "\udfff"
        kind = "text without control characters" if is_text else "UTF-8 text"
        raise SeatFileError(file, line, "", f"expected {kind}, found {found!r}")
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml: slower, the same
        return _Composer(yaml.parse(text, Loader=loader), file).document()
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: "\UFFFFFFFF"
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = min(mark.line, text.count("\n")) + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error)
        raise SeatFileError(file, line, "", f"not YAML: {problem}") from error


class _Composer:
    """Builds the tree from events; PyYAML's own composer has no bound and follows no count."""

    def __init__(self, events: Iterator[Any], file: str) -> None:
        self.events = events
        self.file = file
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.nodes = 0

    def document(self) -> Node:
        """Return the root node, after a look that nothing follows."""
        root: Node | None = None
        for event in self.events:
            name = type(event).__name__
            if name == "DocumentStartEvent" and root is not None:
                raise self.error(event, "expected one YAML document, found a second")
            if name in ("ScalarEvent", "SequenceStartEvent", "MappingStartEvent", "AliasEvent"):
                root = self.node(event, 0)
        if root is None:
            raise SeatFileError(
                self.file, 1, "", "expected `version: 1` and `seats:`, found nothing"
            )
        return root

    def node(self, event: Any, depth: int) -> Node:  # noqa: ANN401  # PyYAML has no types
        """Return the node that begins with `event`."""
        line = event.start_mark.line + 1
        if depth > _DEEPEST:
            raise self.error(event, f"expected at most {_DEEPEST} levels")
        if type(event).__name__ == "AliasEvent":
            return self.alias(event)
        if event.tag is not None:
            raise self.error(event, f"expected no tag, found {event.tag!r}")
        start = self.nodes
        self.count(event, 1)
        node: Node
        match type(event).__name__:
            case "ScalarEvent":
                node = Scalar(event.value, line, not event.style)
            case "SequenceStartEvent":
                node = Sequence(tuple(self.children(depth)), line)
            case _:
                inner = tuple(self.children(depth))
                node = Mapping(tuple(zip(inner[::2], inner[1::2], strict=True)), line)
        if event.anchor is not None:
            self.anchors[event.anchor] = node, self.nodes - start
        return node

    def children(self, depth: int) -> Iterator[Node]:
        """Yield the nodes up to the end of the collection whose start was just read."""
        for event in self.events:
            if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
                return
            yield self.node(event, depth + 1)

    def alias(self, event: Any) -> Node:  # noqa: ANN401  # as above
        """Return the node that an alias repeats, counted as if it were written out."""
        if event.anchor not in self.anchors:  # unknown, or an ancestor that is not complete yet
            raise self.error(event, f"*{event.anchor} repeats nothing written before it")
        node, size = self.anchors[event.anchor]
        self.count(event, size)
        return node

    def count(self, event: Any, nodes: int) -> None:  # noqa: ANN401  # as above
        """Count nodes as read, and raise at the bound."""
        self.nodes += nodes
        if self.nodes > _MOST_NODES:
            raise self.error(event, f"expected at most {_MOST_NODES} values, aliases written out")

    def error(self, event: Any, expected: str) -> SeatFileError:  # noqa: ANN401  # as above
        """Return the refusal at an event's line."""
        return SeatFileError(self.file, event.start_mark.line + 1, "", expected)
