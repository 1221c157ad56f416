from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, PciId, UsbId
from phyllome_seat.model.errors import SeatFileError
from phyllome_seat.model.seat import (
    DeviceMatch,
    MonitorMatch,
    NewGuest,
    PciMatch,
    PortMatch,
    Seat,
    Wish,
)
from phyllome_seat.model.seat_file import parse_wish, render_wish
from phyllome_seat.model.seat_value import AT_LEAST_ONE, CHOICES, EXACTLY_ONE, KEYS, PATTERNS
from tests.model.hosts import two_seat_wish

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "seats/seat-file.schema.json").read_text(encoding="utf-8")
)

EVERYTHING = """\
version: 1
host:
  console: none
  cpus: 2
  memory: 4GiB
  unknown-usb: ask
seats:
  left:
    gpu: {pci: "0000:01:00.0", id: "10de:2786/1043:88e2"}
    monitor: {maker: DEL, name: "DELL U2720Q", serial: "8KTXF13"}
    usb:
      - port: {controller: "0000:00:14.0", id: "8086:7ae0", usb2: "3", usb3: "13"}
      - port: {controller: "0000:00:14.0", id: "8086:7ae0", usb2: "4.1"}
      - controller: {pci: "0000:03:00.0", id: "1b73:1100"}
      - device: {id: "046d:c52b", serial: "A1"}
    when-off: host
    guest: {domain: win11}
  right:
    guest:
      create:
        name: right
        profile: plain
        firmware: bios
        cpus: 8
        memory: 16GiB
        disk: {path: /var/lib/libvirt/images/right.qcow2, size: 64GiB}
"""


def problems(text: str) -> tuple[SeatFileError, ...]:
    with pytest.raises(SeatFileError) as caught:
        parse_wish(text, "seats.yaml")
    return caught.value.problems


def problem(text: str) -> SeatFileError:
    found = problems(text)
    assert len(found) == 1, [str(p) for p in found]
    return found[0]


def without_lines(wish: Wish) -> Wish:
    return replace(
        wish,
        seats=tuple(
            replace(
                seat,
                line=0,
                guest_line=0,
                gpu=seat.gpu and replace(seat.gpu, line=0),
                monitor=seat.monitor and replace(seat.monitor, line=0),
                usb=tuple(replace(match, line=0) for match in seat.usb),
                create=seat.create and replace(seat.create, pin_line=0),
            )
            for seat in wish.seats
        ),
        gives_up=tuple(replace(match, line=0) for match in wish.gives_up),
    )


def test_everything_that_can_be_written_is_read_with_its_line():
    wish = parse_wish(EVERYTHING, "seats.yaml")

    host_usb, host_usb_id = PciAddress.parse("0000:00:14.0"), PciId.parse("8086:7ae0")
    assert wish == Wish(
        seats=(
            Seat(
                "left",
                gpu=PciMatch(
                    PciAddress.parse("0000:01:00.0"), PciId.parse("10de:2786/1043:88e2"), 9
                ),
                monitor=MonitorMatch("DEL", "DELL U2720Q", "8KTXF13", 10),
                usb=(
                    PortMatch(host_usb, host_usb_id, (3,), (13,), 12),
                    PortMatch(host_usb, host_usb_id, (4, 1), (), 13),
                    PciMatch(PciAddress.parse("0000:03:00.0"), PciId.parse("1b73:1100"), 14),
                    DeviceMatch(UsbId.parse("046d:c52b"), "A1", 15),
                ),
                domain="win11",
                line=8,
                guest_line=17,
                when_off="host",
            ),
            Seat(
                "right",
                create=NewGuest(
                    "right",
                    16 * 2**30,
                    8,
                    "bios",
                    "plain",
                    "/var/lib/libvirt/images/right.qcow2",
                    64 * 2**30,
                ),
                line=18,
                guest_line=20,
            ),
        ),
        console="none",
        host_cpus=2,
        host_memory_bytes=4 * 2**30,
        file="seats.yaml",
        unknown_usb="ask",
    )


def test_a_file_without_seats_is_a_wish_for_none():
    assert parse_wish("version: 1\nseats: {}\n", "f") == Wish(file="f")


def test_quotes_make_no_difference_where_yaml_would_make_a_number_of_the_text():
    # To YAML 1.1 both are numbers in base 60.
    bare = "version: 1\nseats: {a: {gpu: {pci: 0000:01:00.0, id: 1002:1520}}}"
    quoted = 'version: 1\nseats: {"a": {gpu: {pci: "0000:01:00.0", id: "1002:1520"}}}'
    device = "version: 1\nseats: {a: {usb: [device: {id: 1234:5959, serial: 0012345}]}}"

    assert parse_wish(bare) == parse_wish(quoted)
    assert parse_wish(device).seats[0].usb == (DeviceMatch(UsbId(0x1234, 0x5959), "0012345", 2),)


def test_a_port_behind_a_hub_without_quotes_is_refused_and_a_bare_number_is_not():
    file = (
        "version: 1\nseats:\n a: {usb: [port: {controller: 0000:00:14.0, id: 8086:7ae0, usb2: %s}]}"
    )

    refused = problem(file % "4.10")

    assert (refused.line, refused.key) == (3, "seats.a.usb[0].port.usb2")
    assert refused.hint == 'did you mean "4.10"?'
    assert "in quotes" in str(refused)
    for text, ports in (("3", (3,)), ('"4.10"', (4, 10)), ("4.1.2", (4, 1, 2))):
        (match,) = parse_wish(file % text).seats[0].usb
        assert isinstance(match, PortMatch)
        assert match.usb2 == ports


@pytest.mark.parametrize(
    ("line", "written", "key", "words", "hint"),
    [
        (1, "version: 2", "version", "expected 1, found '2'", "1"),
        (2, "hosts:", "", "expected one of version, host, seats, found 'hosts'", "host"),
        (3, "  console: kep", "host.console", "expected keep or none, found 'kep'", "keep"),
        (4, "  cpus: two", "host.cpus", "expected a number of CPUs, found 'two'", ""),
        (5, "  memory: 4 GB", "host.memory", "found '4 GB'", "4GiB"),
        (8, "  Left_1:", "seats", "expected a seat name", "left"),
        (9, "    gpu: 0000:01:00.0", "seats.left.gpu", "expected keys and values (pci, id)", ""),
        (
            9,
            '    gpu: {pci: "01:00.0", id: "10de:2786"}',
            "seats.left.gpu.pci",
            "expected a PCI address",
            "0000:01:00.0",
        ),
        (
            9,
            '    gpu: {pci: "0000:01:00.0", id: "0x10DE:2786"}',
            "seats.left.gpu.id",
            "expected a PCI id",
            "10de:2786",
        ),
        (9, '    gpu: {pci: "0000:01:00.0"}', "seats.left.gpu", "expected the key 'id'", ""),
        (10, "    monitor: {}", "seats.left.monitor", "at least one of maker, name, serial", ""),
        (10, '    monitor: {name: "a\\tb"}', "seats.left.monitor.name", "printable", ""),
        (10, "    montor: {name: a}", "seats.left", "found 'montor'", "monitor"),
        (14, "      - {}", "seats.left.usb[2]", "either port or controller or device", ""),
        (14, "      - hub: {}", "seats.left.usb[2]", "expected one of port, controller", ""),
        (15, "      - device: {id: 46d:c52b}", "seats.left.usb[3].device.id", "a USB id", ""),
        (17, "    guest: {}", "seats.left.guest", "either domain or create, found none", ""),
        (
            17,
            "    guest: {domain: a, create: {name: b, cpus: 1, memory: 1GiB}}",
            "seats.left.guest",
            "either domain or create, found domain and create",
            "",
        ),
        (17, "    guest: {domain: }", "seats.left.guest.domain", "found nothing", ""),
        (21, "        name: a/b", "seats.right.guest.create.name", "a name for the guest", ""),
        (
            22,
            "        profile: linux-gaming",
            "seats.right.guest.create.profile",
            "expected plain, found 'linux-gaming'",
            "plain",
        ),
        (23, "        firmware: uefi", "seats.right.guest.create.firmware", "'uefi'", "efi"),
        (26, "        disk: {path: x.img}", "seats.right.guest.create.disk.path", "absolute", ""),
    ],
)
def test_a_refusal_names_file_line_key_what_was_expected_and_the_nearest(
    line, written, key, words, hint
):
    lines = EVERYTHING.splitlines()
    lines[line - 1] = written

    first = problems("\n".join(lines))[0]

    assert str(first).startswith(f"seats.yaml:{line}: ")
    assert (first.line, first.key) == (line, key)
    assert words in str(first)
    assert first.hint == (f"did you mean {hint}?" if hint else "")


def test_all_problems_are_found_in_one_reading_in_the_order_of_the_file():
    found = problems(
        "version: 1\nhost: {memory: 4}\nseats:\n  A: {}\n  b: {gpu: {}, usb: {}}\n  c: 1\n"
    )

    assert [p.line for p in found] == [2, 4, 5, 5, 5, 6]
    assert all(p.file == "seats.yaml" for p in found)


def test_the_same_key_twice_is_refused_though_yaml_would_take_the_last():
    twice = problem("version: 1\nseats:\n  a: {}\n  b: {}\n  a: {}\n")

    assert str(twice) == "seats.yaml:5: seats: 'a' is here a second time, first in line 3"


def test_the_same_usb_place_twice_in_a_seat_is_refused():
    twice = problem(
        "version: 1\nseats:\n  a:\n    usb:\n"
        "      - device: {id: 046d:c52b}\n      - device: {id: 046d:c52b, serial: x}\n"
        "      - device: {id: '046d:c52b'}\n"
    )

    assert (twice.line, twice.key) == (7, "seats.a.usb[2]")
    assert "in line 5" in str(twice)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("# nothing\n", 1),
        ("seats: [\n", 1),
        ("version: 1\n\tseats: {}\n", 2),
        ("version: 1\nseats: {}\n---\nversion: 1\n", 3),
        ("version: 1\nseats: !!python/object/apply:os.system [true]\n", 2),
        ("version: 1\nseats: \x00\n", 2),
        ("version: 1\nseats: \udc80\n", 2),
        ('version: 1\nseats: {a: {guest: {domain: "\\ud800"}}}\n', 2),
        ('version: 1\nseats: "\\UFFFFFFFF"\n', 1),
        ("version: 1\nseats: &a [*a]\n", 2),
        ("version: 1\nseats: *a\n", 2),
        ("version: 1\nseats: {{a: b}: c}\n", 2),
        ("[" * 100_000, 1),
        ("- " * 100_000, 1),
        ("just words", 1),
    ],
)
@pytest.mark.parametrize("has_libyaml", [True, False])
def test_what_is_no_seat_file_is_refused_with_a_line(text, line, has_libyaml, monkeypatch):
    if not has_libyaml:
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)

    assert problems(text)[0].line >= line


def test_aliases_are_followed_but_cannot_make_a_small_file_large():
    shared = "version: 1\nseats:\n  a: {usb: &x [device: {id: 046d:c52b}]}\n  b: {usb: *x}\n"
    laughs = "version: 1\nhost: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )

    left, right = parse_wish(shared).seats
    assert left.usb == right.usb != ()
    assert "aliases written out" in str(problem(laughs))


# Properties


def is_parsed_or_refused_with_file_and_line(text: str) -> None:
    try:
        wish = parse_wish(text, "seats.yaml")
    except SeatFileError as error:
        for one in (error, *error.problems):
            assert re.match(r"seats\.yaml:[1-9][0-9]*: .", str(one))
            assert str(one).isprintable()
    else:
        again = parse_wish(render_wish(wish), "seats.yaml")
        assert without_lines(again) == without_lines(wish)


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    is_parsed_or_refused_with_file_and_line(text)


WORDS = sorted({key for keys in KEYS.values() for key in keys} | {"a", "b", "<<", "~", "1", "3"})
values = st.one_of(
    st.sampled_from(
        ["0000:01:00.0", "10de:2786", "046d:c52b", "3", "4.1", "16GiB", "keep", "plain", "", "/x"]
    ),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.text(),
)
structures = st.recursive(
    values,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    max_leaves=30,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(structures)
def test_any_structure_is_parsed_or_refused(structure):
    is_parsed_or_refused_with_file_and_line(yaml.safe_dump(structure, allow_unicode=True))
    seats = {"version": 1, "seats": {"a": structure}}
    is_parsed_or_refused_with_file_and_line(yaml.safe_dump(seats, allow_unicode=True))


@given(st.data())
def test_a_seat_file_with_a_slip_is_parsed_or_refused(data):
    start = data.draw(st.integers(0, len(EVERYTHING)))
    end = data.draw(st.integers(start, min(start + 12, len(EVERYTHING))))
    slip = data.draw(st.text(alphabet="{}[]:-,&*!'\"\\ \n\t|>%@?#<.0aA~\u2028é", max_size=4))

    is_parsed_or_refused_with_file_and_line(EVERYTHING[:start] + slip + EVERYTHING[end:])


numbers = st.integers(0, 0xFFFF)
addresses = st.builds(
    PciAddress,
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)
pci_ids = st.one_of(
    st.builds(PciId, numbers, numbers), st.builds(PciId, numbers, numbers, numbers, numbers)
)
texts = st.text(min_size=1, max_size=255).filter(lambda t: t.isprintable() and not t.isspace())
chains = st.lists(st.integers(1, 255), max_size=6).map(tuple)
matches = st.one_of(
    st.builds(PciMatch, addresses, pci_ids),
    st.builds(PortMatch, addresses, pci_ids, chains, chains).filter(lambda p: p.usb2 or p.usb3),
    st.builds(DeviceMatch, st.builds(UsbId, numbers, numbers), st.none() | texts),
)
sizes = st.integers(1, 10**15 - 1)
disks = st.one_of(
    st.just((None, None)),
    st.tuples(st.from_regex(PATTERNS["path"], fullmatch=True).filter(str.isprintable), sizes),
)
guests = st.builds(
    lambda name, memory, cpus, firmware, profile, disk: NewGuest(
        name, memory, cpus, firmware, profile, *disk
    ),
    st.from_regex(PATTERNS["name"], fullmatch=True),
    st.integers(2**20, 10**15 - 1),
    st.integers(1, 9999),
    st.sampled_from(CHOICES["firmware"]),
    st.none() | st.sampled_from(CHOICES["profile"]),
    disks,
)
monitors = st.builds(MonitorMatch, st.none() | texts, st.none() | texts, st.none() | texts)
seats = st.builds(
    Seat,
    st.from_regex(PATTERNS["seat"], fullmatch=True),
    gpu=st.none() | st.builds(PciMatch, addresses, pci_ids),
    monitor=st.none() | monitors.filter(lambda m: m.maker or m.name or m.serial),
    usb=st.lists(matches, unique=True, max_size=4).map(tuple),
    when_off=st.sampled_from(CHOICES["when-off"]),
)
seats_with_guests = st.one_of(
    seats,
    st.builds(lambda seat, domain: replace(seat, domain=domain), seats, texts),
    st.builds(lambda seat, guest: replace(seat, create=guest), seats, guests),
)


def _whose(seats, number):
    """The host, nobody before they are asked, or one of the seats."""
    names = ("host", "ask", *(seat.name for seat in seats))
    return names[number % len(names)]


wishes = st.builds(
    lambda seats, *rest, whose, **more: Wish(seats, *rest, _whose(seats, whose), **more),
    st.lists(seats_with_guests, unique_by=lambda s: s.name, max_size=4).map(tuple),
    st.sampled_from(CHOICES["console"]),
    st.none() | st.integers(1, 9999),
    st.none() | sizes,
    st.just("seats.yaml"),
    whose=st.integers(0, 5),
    gives_up=st.lists(matches, unique=True, max_size=3).map(tuple),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(wishes)
def test_a_rendered_wish_is_read_as_the_same_wish(wish):
    assert without_lines(parse_wish(render_wish(wish), "seats.yaml")) == wish


def test_the_two_seats_of_the_other_tests_are_read_as_they_were_meant():
    wish = two_seat_wish()

    assert without_lines(parse_wish(render_wish(wish))) == wish


# The schema that editors read says what the parser says.


def follows(schema: dict[str, Any], value: Any) -> bool:
    """Whether `value` is valid by as much of JSON Schema as ours is written in."""
    types = {"object": dict, "array": list, "string": str, "integer": int}
    named = schema.get("type", [])
    named = [named] if isinstance(named, str) else named
    definition = schema.get("$ref", "").removeprefix("#/$defs/")
    return (
        (not definition or follows(SCHEMA["$defs"][definition], value))
        and (not named or any(isinstance(value, types[name]) for name in named))
        and value in schema.get("enum", [value])
        and ("anyOf" not in schema or any(follows(one, value) for one in schema["anyOf"]))
        and _value_follows(schema, value)
    )


def _value_follows(schema: dict[str, Any], value: Any) -> bool:
    match value:
        case str():
            shortest, longest = schema.get("minLength", 0), schema.get("maxLength", len(value))
            fits = re.search(schema.get("pattern", ""), value) is not None
            return fits and shortest <= len(value) <= longest
        case int():
            return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
        case list():
            return all(follows(schema.get("items", {}), item) for item in value)
        case dict():
            return _object_follows(schema, value)
    return True


def _object_follows(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    if not set(schema.get("required", ())) <= set(value):
        return False
    low, high = schema.get("minProperties", 0), schema.get("maxProperties", len(value))
    if not low <= len(value) <= high:
        return False
    properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, inner in value.items():
        if key in properties:
            if not follows(properties[key], inner):
                return False
        elif more is False or (isinstance(more, dict) and not follows(more, inner)):
            return False
        if not follows(schema.get("propertyNames", {}), key):
            return False
    return True


def test_the_schema_names_the_same_keys_and_the_same_required_ones():
    definitions = {name: d for name, d in SCHEMA["$defs"].items() if d.get("type") == "object"}

    assert set(definitions) == set(KEYS)
    for name, keys in KEYS.items():
        assert list(definitions[name]["properties"]) == list(keys)
        assert set(definitions[name].get("required", ())) == {k for k in keys if keys[k]}
        assert definitions[name]["additionalProperties"] is False


def test_the_schema_counts_the_keys_of_which_one_is_wanted_as_the_parser_does():
    for name, keys in EXACTLY_ONE.items():
        definition = SCHEMA["$defs"][name]
        assert definition["minProperties"] == definition["maxProperties"] == 1
        assert set(definition["properties"]) == set(keys)
    assert SCHEMA["$defs"]["monitor"]["minProperties"] == 1
    assert set(SCHEMA["$defs"]["monitor"]["properties"]) == set(AT_LEAST_ONE["monitor"])
    port = [tuple(one["required"]) for one in SCHEMA["$defs"]["port"]["anyOf"]]
    assert port == [(key,) for key in AT_LEAST_ONE["port"]]


def test_the_schema_has_the_same_words_and_patterns_to_choose_from():
    found = {
        key: tuple(str(word) for word in value["enum"])
        for definition in SCHEMA["$defs"].values()
        for key, value in definition.get("properties", {}).items()
        if "enum" in value
    }
    definitions = SCHEMA["$defs"]

    assert found == CHOICES
    patterns = {
        "seat": definitions["file"]["properties"]["seats"]["propertyNames"],
        "name": definitions["create"]["properties"]["name"],
        "path": definitions["disk"]["properties"]["path"],
        "size": definitions["size"],
    }
    assert {n: p["pattern"] for n, p in patterns.items()} == {
        name: f"^{PATTERNS[name]}$" for name in patterns
    }


def changed_files() -> list[tuple[str, Any]]:
    """Return the full file with each value in turn gone, of another type, and beside a stray."""
    whole = yaml.safe_load(EVERYTHING)
    files = [("as it is", whole)]
    for path in _paths(whole):
        for what, change in CHANGES.items():
            changed = copy.deepcopy(whole)
            inner = changed
            for step in path[:-1]:
                inner = inner[step]
            change(inner, path[-1])
            files.append((f"{'.'.join(map(str, path))} {what}", changed))
    return files


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = list(value.items() if isinstance(value, dict) else enumerate(value))
    return [
        path
        for step, inner in steps
        for path in (
            [(*here, step)]
            + (_paths(inner, (*here, step)) if isinstance(inner, dict | list) else [])
        )
    ]


def _put(value: Any) -> Any:
    return lambda inner, key: inner.__setitem__(key, value)


CHANGES = {
    "gone": lambda inner, key: inner.pop(key),
    "a mapping": _put({}),
    "a stray mapping": _put({"stray": "x"}),
    "a list": _put([]),
    "a word": _put("Zz z/"),
    "empty": _put(""),
    "nothing": _put(None),
    "zero": _put(0),
    "too much": _put(99999),
}


@pytest.mark.parametrize(
    "changed", [f for _, f in changed_files()], ids=[name for name, _ in changed_files()]
)
def test_the_schema_and_the_parser_agree_on(changed):
    try:
        parse_wish(yaml.safe_dump(changed))
        is_read = True
    except SeatFileError:
        is_read = False

    assert follows(SCHEMA, changed) == is_read


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("seats: {host: {}}", "seats: expected a seat name"),
        ("seats: {ask: {}}", "not host, ask"),
        (
            "host: {unknown-usb: lefft}\nseats: {left: {}}",
            "host.unknown-usb: expected one of host, ask, left, found 'lefft'",
        ),
        (
            "seats: {a: {guest: {create: {name: a, cpus: 1, memory: 1KiB}}}}",
            "expected 1MiB or more",
        ),
    ),
)
def test_words_that_mean_something_else_and_slips_of_the_pen_are_refused(text, said):
    with pytest.raises(SeatFileError) as refused:
        parse_wish(f"version: 1\n{text}\n", "seats.yaml")

    assert said in str(refused.value)
    assert str(refused.value).startswith("seats.yaml:2: ")


@pytest.mark.parametrize("path", ("/a//x", "/a/../x", "/a/./x", "/..", "/a/", "//a", "a"))
def test_a_path_that_is_another_ones_too_is_refused(path):
    guest = f"{{name: a, cpus: 1, memory: 1GiB, disk: {{path: {path}}}}}"
    with pytest.raises(SeatFileError, match="an absolute path"):
        parse_wish(f"version: 1\nseats: {{a: {{guest: {{create: {guest}}}}}}}\n")


@pytest.mark.parametrize(
    ("content", "said"),
    ((b"# B\xfcro", "expected UTF-8 text"), (b"# \x1b", "expected text without control char")),
)
def test_what_is_no_text_is_said_to_be_none(content, said):
    with pytest.raises(SeatFileError, match=said):
        parse_wish(content.decode("utf-8", "surrogateescape"))
