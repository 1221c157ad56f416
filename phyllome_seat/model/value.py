"""`dataclass` for our nouns: what the standard library's makes, without what that costs each start.

Importing ``dataclasses`` takes as long as starting Python (it needs ``inspect``), and every class
it makes is source text that is compiled at each start: together, half of the time of a scan.
Here the methods are closures over the fields. Type checkers see the standard library's decorator,
and its ``fields``, ``asdict``, ``replace`` and ``is_dataclass`` take what is made here.

It knows what the nouns use: frozen, with slots or without, ordered or not, defaults by value,
``__post_init__``; neither ``field()`` nor inherited fields.
"""

from __future__ import annotations

import operator

from phyllome_seat.model.constructors import INITS, PUTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field
    from typing import Any, NoReturn

    Kind = Any  # a class made here
    Value = Any  # one of its values
    Method = Callable[..., Any]

__all__ = ["MISSING", "dataclass", "find_defaults", "is_value", "replace"]

MISSING = object()  # the default of a field without one

_ORDER = ("lt", "le", "gt", "ge")

_Function: Any = type(lambda: None)  # importing types takes longer than to ask


def is_value(kind: Kind) -> bool:
    """Return whether this is a class made here."""
    return hasattr(kind, "__field_defaults__")


def find_defaults(kind: Kind) -> dict[str, object]:
    """Return the default of each field, MISSING where it has none, in the order of the fields."""
    defaults = kind.__field_defaults__
    return {name: defaults.get(name, MISSING) for name in kind.__match_args__}


def _replace(value: Value, /, **changes: object) -> Value:
    kind = type(value)
    return kind(**{**dict(zip(kind.__match_args__, _content(value), strict=True)), **changes})


def _content(value: Value) -> tuple[object, ...]:
    return tuple(getattr(value, name) for name in value.__match_args__)


def _dataclass(*, frozen: bool, slots: bool = False, order: bool = False) -> Method:
    if not frozen:
        raise TypeError("a noun is frozen")
    return lambda kind: _make(kind, slots=slots, order=order)


def _make(kind: Kind, *, slots: bool, order: bool) -> Kind:
    """Return `kind` with the methods of a value: a new class, since slots cannot be added."""
    body = dict(vars(kind))
    names = tuple(kind.__annotations__)
    defaults = {name: body[name] for name in names if name in body}
    for name in ("__dict__", "__weakref__", *(names if slots else ())):
        body.pop(name, None)
    if slots:
        body["__slots__"] = names
    methods = {
        "__annotations__": kind.__annotations__,
        "__qualname__": kind.__qualname__,
        "__match_args__": names,
        "__field_defaults__": defaults,
        "__dataclass_fields__": _Fields(),
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        "__repr__": _represent,
        "__reduce__": _reduce,
        **_make_comparisons(names, order=order),
    }
    made = type(kind)(kind.__name__, kind.__bases__, {**methods, **body})
    puts = {name: vars(made)[name].__set__ if slots else _make_put(name) for name in names}
    made.__init__ = _make_init(puts, defaults, checks="__post_init__" in body)
    return made


def _make_put(name: str) -> Method:
    return lambda value, content: object.__setattr__(value, name, content)


def _make_init(puts: dict[str, Method], defaults: dict[str, object], *, checks: bool) -> Method:
    """Return a constructor that sets each field by what `puts` has for it: as quick as Python has
    them, because a scan makes thousands of values.
    """
    names, optional = tuple(puts), tuple(defaults.values())
    if len(names) > len(PUTS) or names[len(names) - len(optional) :] != tuple(defaults):
        raise TypeError(f"a noun has at most {len(PUTS)} fields, those with a default last")
    sets = [*puts.values()]
    if checks and sets:
        sets[-1] = _make_last_put(sets[-1])
    by_letter = dict(zip(PUTS, sets))  # noqa: B905 - most have fewer
    code = INITS[len(names)].__code__.replace(co_varnames=("self", *names), co_name="__init__")
    made: Method = _Function(code, by_letter, "__init__", optional)
    return made


def _make_last_put(put: Method) -> Method:
    """Return what sets a value's last field, and then lets it check itself."""

    def put_and_check(value: Value, content: object) -> None:
        put(value, content)
        value.__post_init__()

    return put_and_check


def _make_comparisons(names: tuple[str, ...], *, order: bool) -> dict[str, Method]:
    content: Method = operator.attrgetter(*names) if names else _content

    def hash_value(self: Value) -> int:
        return hash(content(self))

    words = ("eq", *(_ORDER if order else ()))
    compared = {f"__{w}__": _make_comparison(content, getattr(operator, w)) for w in words}
    return {"__hash__": hash_value, **compared}


def _make_comparison(content: Method, compare: Method) -> Method:
    def compare_values(self: Value, other: Value) -> Value:
        if self.__class__ is not other.__class__:
            return NotImplemented
        return compare(content(self), content(other))

    return compare_values


def _represent(self: Value) -> str:
    fields = zip(self.__match_args__, _content(self), strict=True)
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in fields)})"


def _reduce(self: Value) -> tuple[Kind, tuple[object, ...]]:
    return type(self), _content(self)


def _refuse(self: Value, name: str, *_value: object) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"{type(self).__name__} is frozen: its {name} cannot change")


class _Fields:
    """The fields as the standard library describes them, made when somebody asks."""

    def __get__(self, _value: Value, kind: Kind) -> dict[str, Field[Any]]:
        from dataclasses import dataclass as standard

        twin = type(kind.__name__, (), {**kind.__field_defaults__})
        twin.__annotations__, twin.__module__ = kind.__annotations__, kind.__module__
        made: Kind = standard(frozen=True)(twin)
        kind.__dataclass_fields__ = made.__dataclass_fields__
        fields: dict[str, Field[Any]] = made.__dataclass_fields__
        return fields


if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:
    dataclass, replace = _dataclass, _replace
