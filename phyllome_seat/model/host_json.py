"""A `Host` as JSON text, both ways: what ``scan --json`` writes and ``--host FILE`` reads.

The text is one object. Its first key, ``phyllome_seat_host``, is the version of the format; the
others are the fields of `phyllome_seat.model.devices.Host` in its order, one device a line, so
that two scans can be compared with ``diff``. Each device is an object with the fields of its class
there; addresses and ids are written as sysfs writes them. A field that has its default (None,
empty, false) is left out; ``null`` is written only where the class has no default.

Version 1 may get further fields, which an older program ignores; a field that changes its meaning
or goes makes version 2, which an older program refuses.
"""

from __future__ import annotations

from functools import cache

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import Guest, Host, OurFile
from phyllome_seat.model.errors import AddressError, HostFileError
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.value import MISSING, find_defaults, is_value

TYPE_CHECKING = False  # importing typing would cost each start milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from phyllome_seat.model.lost import Lost

    Type = Any  # a class, or an annotation such as int | None: typing has no name for both
    Renderer = Callable[[Any], str]
    Parser = Callable[[object, str], Any]  # value and its place in the text, to what it means

VERSION = 1

_KEY = "phyllome_seat_host"
_TEXTS = (PciAddress, PciId, UsbId, UsbPort)  # written as text, read by their own ``parse``
_OF_LINES = ((Guest, "xml"), (OurFile, "content"))  # the only texts that a scan reads as they are
_WORDS = {None: "null", True: "true", False: "false"}
_HINT = "make one with `phyllome-seat scan --json`"


def render_host(host: Host, lost: tuple[Lost, ...] = ()) -> str:
    """Return the JSON text of `host`, ASCII only, ending in a line break.

    Equal hosts give equal texts. What the host would lose follows as ``needed``: it is for other
    programs to read, and `parse_host` finds it out anew.
    """
    lines = [f'"{_KEY}":{VERSION}']
    for name, default in _fields(Host):
        value = getattr(host, name)
        if value == default:
            continue
        items = ",\n ".join(map(_render, value)) if type(value) is tuple else ""
        lines.append(f'"{name}":' + (f"[\n {items}]" if items else _render(value)))
    if lost:
        items = ",\n ".join(map(_render, lost))
        lines.append(f'"needed":[\n {items}]')
    return "{" + ",\n".join(lines) + "}\n"


def parse_host(text: str) -> Host:
    """Return the host that `render_host` wrote as `text`.

    Fields unknown to this version are ignored. HostFileError, with the place in the text, for
    anything else that does not fit. The file may be a stranger's: what is more than a sign is a
    blank in each text, as in those a scan reads, but for the definitions of guests and our files.
    """
    content = _parse_json(text)
    if type(content) is not dict or _KEY not in content:
        raise HostFileError(f"no host of phyllome-seat: key {_KEY} is missing", hint=_HINT)
    version = content[_KEY]
    if type(version) is not int or version != VERSION:
        raise HostFileError(
            f"{_KEY} is {version!r:.40}: this phyllome-seat reads version {VERSION}",
            hint="scan again with this phyllome-seat, or use the one that wrote the file",
        )
    host: Host = _parser_of(Host)(content, "")
    return host


@cache
def _fields(kind: Type) -> tuple[tuple[str, object], ...]:
    """Return name and default of each field in order; no value equals a default that is missing."""
    return tuple(find_defaults(kind).items())


def _render(value: object) -> str:
    kind: Type = type(value)
    return _renderer_of(kind)(value)


@cache
def _renderer_of(kind: Type) -> Renderer:
    """Return what writes values of exactly this type: any that a `Host` holds."""
    if kind in _TEXTS:  # hexadecimal digits and separators need no escape
        return '"{}"'.format
    if kind is tuple:
        return lambda value: "[" + ",".join(map(_render, value)) + "]"
    if is_value(kind):
        return _object_renderer(kind)
    if kind is str:
        return _render_text
    return repr if kind in (int, float) else _WORDS.__getitem__


def _render_text(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    import json  # rarely needed, and importing it takes as long as all else here

    return json.dumps(text)


def _object_renderer(kind: Type) -> Renderer:
    known = tuple((name, default, f'"{name}":') for name, default in _fields(kind))

    def render(value: object) -> str:
        parts = []
        for name, default, key in known:
            item = getattr(value, name)
            if item != default:
                parts.append(key + _render(item))
        return "{" + ",".join(parts) + "}"

    return render


def _parse_json(text: str) -> object:
    import json  # only what reads a host file pays for it

    try:
        content: object = json.loads(text)
    except RecursionError:
        raise HostFileError("no host of phyllome-seat: too deeply nested", hint=_HINT) from None
    except ValueError as error:  # JSONDecodeError, and a number with thousands of digits
        raise HostFileError(f"no JSON: {error}", hint=_HINT) from None
    return content


@cache
def _parser_of(kind: Type) -> Parser:
    """Return what reads a value of a type: the annotation of a field, already evaluated."""
    if kind in _TEXTS:
        return _text_parser(kind)
    if is_value(kind):
        return _class_parser(kind)
    if kind in (float, str):
        return _parse_float if kind is float else _parse_line
    if kind in (int, bool):
        return _plain_parser(kind)
    arguments = kind.__args__  # tuple[X, ...], tuple[X, Y] and X | None, nothing else is used
    if getattr(kind, "__origin__", None) is tuple:
        return _tuple_parser(arguments)
    return _optional_parser(next(a for a in arguments if a is not type(None)))


def _class_parser(kind: Type) -> Parser:
    hints = _hints_of(kind)
    known = tuple(
        (name, default, _parse_lines if (kind, name) in _OF_LINES else _parser_of(hints[name]))
        for name, default in _fields(kind)
    )

    def parse(value: object, place: str) -> object:
        if type(value) is not dict:
            raise _wrong(value, place, "an object")
        found = {}
        for name, default, parse_field in known:
            if name in value:
                found[name] = parse_field(value[name], f"{place}.{name}" if place else name)
            elif default is MISSING:
                raise HostFileError(f"{place}: {name} is missing", hint=_HINT)
        return kind(**found)

    return parse


def _hints_of(kind: Type) -> dict[str, Any]:
    from typing import get_type_hints  # only what reads a host file pays for it

    return get_type_hints(kind)


def _tuple_parser(arguments: tuple[Any, ...]) -> Parser:
    parse_item = _parser_of(arguments[0])
    size = None if arguments[-1] is Ellipsis else len(arguments)  # all of one type, as all are

    def parse(value: object, place: str) -> object:
        if type(value) is not list or len(value) != (len(value) if size is None else size):
            raise _wrong(value, place, "a list" if size is None else f"a list of {size}")
        return tuple(parse_item(item, f"{place}[{n}]") for n, item in enumerate(value))

    return parse


def _optional_parser(kind: Type) -> Parser:
    parse_present = _parser_of(kind)

    def parse(value: object, place: str) -> object:
        return None if value is None else parse_present(value, place)

    return parse


def _text_parser(kind: Type) -> Parser:
    def parse(value: object, place: str) -> object:
        if type(value) is not str:
            raise _wrong(value, place, "a text")
        try:
            return kind.parse(value)
        except AddressError as error:
            raise HostFileError(f"{place}: {error}", hint=error.hint) from None

    return parse


def _parse_line(value: object, place: str) -> str:
    return one_line(_parse_lines(value, place))


def _parse_lines(value: object, place: str) -> str:
    if type(value) is not str:
        raise _wrong(value, place, "a text")
    return value


def _plain_parser(kind: type) -> Parser:
    expected = {int: "a whole number", bool: "true or false"}[kind]

    def parse(value: object, place: str) -> object:
        if type(value) is not kind:  # a bool is an int to isinstance
            raise _wrong(value, place, expected)
        return value

    return parse


def _parse_float(value: object, place: str) -> float:
    if type(value) is float and value - value == 0:  # JSON's 1e999 is infinite
        return value
    if type(value) is int and abs(value) < 1 << 53:
        return float(value)
    raise _wrong(value, place, "a number")


def _wrong(value: object, place: str, expected: str) -> HostFileError:
    return HostFileError(f"{place}: {value!r:.60} is not {expected}", hint=_HINT)
