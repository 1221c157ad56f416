"""Our `dataclass` held against the standard library's: the same class made by both."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from phyllome_seat.model import value
from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import Host, Link, PciDevice


def make(dataclass, **options):
    @dataclass(frozen=True, **options)
    class Thing:
        """A thing."""

        size: int
        name: str = "none"
        parts: tuple[int, ...] = ()

        def __post_init__(self):
            if self.size < 0:
                raise ValueError(self.size)

        @property
        def twice(self):
            return self.size * 2

    return Thing


BOTH = [
    pytest.param(make(maker, **options), id=f"{maker.__module__}-{'-'.join(options) or 'plain'}")
    for options in ({}, {"slots": True}, {"slots": True, "order": True})
    for maker in (value.dataclass, dataclasses.dataclass)
]
CALLS = [
    ((1,), {}),
    ((1, "a", (2,)), {}),
    ((), {"size": 1}),
    ((1,), {"parts": (3,)}),
    ((), {"parts": (), "size": 4, "name": "b"}),
]
WRONG_CALLS = [
    ((), {}),
    ((1, "a", (), 4), {}),
    ((1,), {"size": 2}),
    ((1, "a", ()), {"name": "b"}),
    ((1,), {"colour": "red"}),
    ((), {"name": "a", "colour": "red"}),
]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("given", "named"), CALLS)
def test_a_value_is_made_with_its_fields_and_shown_with_them(kind, given, named):
    thing = kind(*given, **named)

    wanted = {"name": "none", "parts": ()} | dict(
        zip(("size", "name", "parts"), given, strict=False)
    )
    assert dataclasses.asdict(thing) == wanted | named
    shown = ", ".join(f"{name}={getattr(thing, name)!r}" for name in ("size", "name", "parts"))
    assert repr(thing) == f"make.<locals>.Thing({shown})"
    assert thing.twice == thing.size * 2


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("given", "named"), WRONG_CALLS)
def test_missing_unknown_and_repeated_fields_are_refused(kind, given, named):
    with pytest.raises(TypeError):
        kind(*given, **named)


@pytest.mark.parametrize("kind", BOTH)
def test_a_value_cannot_change(kind):
    thing = kind(1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        thing.size = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del thing.size
    assert thing.size == 1


@pytest.mark.parametrize("kind", BOTH)
def test_values_are_equal_by_content_and_class(kind):
    other = make(value.dataclass)

    assert kind(1, "a") == kind(1, "a")
    assert kind(1, "a") != kind(1, "b")
    assert kind(1) != other(1)
    assert kind(1) != (1, "none", ())
    assert len({kind(1), kind(1, "none"), kind(2)}) == 2


@pytest.mark.parametrize("kind", BOTH)
def test_a_value_checks_itself_also_when_it_is_a_changed_copy(kind):
    for replace in (value.replace, dataclasses.replace):
        assert replace(kind(1, "a"), size=2) == kind(2, "a")
        with pytest.raises(ValueError, match="-1"):
            replace(kind(1), size=-1)


def test_values_have_an_order_only_when_asked():
    ordered, plain = make(value.dataclass, order=True), make(value.dataclass)

    assert sorted([ordered(2), ordered(1, "b"), ordered(1, "a")])[0] == ordered(1, "a")
    assert ordered(1) <= ordered(1) < ordered(2) >= ordered(2) > ordered(1)
    with pytest.raises(TypeError):
        assert plain(1) < plain(2)
    with pytest.raises(TypeError):
        assert ordered(1) < 2


def test_slots_leave_no_room_for_more_and_plain_values_keep_theirs():
    assert not hasattr(make(value.dataclass, slots=True)(1), "__dict__")
    host = Host()
    assert host.by_address == {}
    assert host.by_address is host.by_address  # a cached property


def test_the_standard_library_sees_the_same_fields_from_both():
    ours, standard = make(value.dataclass, slots=True), make(dataclasses.dataclass, slots=True)

    assert dataclasses.is_dataclass(ours)
    assert [(f.name, f.type, f.default) for f in dataclasses.fields(ours)] == [
        (f.name, f.type, f.default) for f in dataclasses.fields(standard)
    ]
    assert ours.__match_args__ == standard.__match_args__
    assert ours.__doc__ == standard.__doc__
    assert ours.__qualname__ == standard.__qualname__
    assert value.find_defaults(ours) == {"size": value.MISSING, "name": "none", "parts": ()}


def test_a_value_can_be_copied_and_pickled():
    link = Link(8.0, 4, 16.0, 16)

    assert copy.deepcopy(link) == link
    assert pickle.loads(pickle.dumps(link)) == link


def test_nothing_a_scan_imports_imports_the_standard_dataclasses():
    code = "import sys; from phyllome_seat.system.scan import scan; import phyllome_seat.cli; "
    code += "print({'dataclasses', 'inspect', 'typing'} & {*sys.modules})"

    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"


def test_no_noun_is_made_by_the_standard_library():
    package = Path(value.__file__).parents[1]
    for room in ("model", "system"):
        for module in (package / room).glob("*.py"):
            if module.name != "value.py":
                assert "from dataclasses" not in module.read_text(), module


def test_the_nouns_are_made_here():
    assert all(value.is_value(kind) for kind in (Host, PciDevice, PciAddress))
    assert not value.is_value(int)


def test_a_noun_takes_every_number_of_fields_up_to_24():
    for count in range(25):
        names = [f"field_{number}" for number in range(count)]
        body = {"__annotations__": dict.fromkeys(names, int)}
        noun = value.dataclass(frozen=True, slots=True)(type("Noun", (), body))
        by_name = noun(**{name: number for number, name in enumerate(names)})
        assert by_name == noun(*range(count))
        assert [getattr(by_name, name) for name in names] == list(range(count))


def test_more_fields_and_a_default_before_a_field_without_one_are_refused():
    many = {"__annotations__": {f"field_{number}": int for number in range(25)}}
    early = {"__annotations__": {"first": int, "second": int}, "first": 1}
    for body in (many, early):
        with pytest.raises(TypeError, match="at most 24 fields, those with a default last"):
            value.dataclass(frozen=True)(type("Noun", (), body))
