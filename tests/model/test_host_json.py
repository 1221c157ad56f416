from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import phyllome_seat
from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import (
    BeforeBind,
    Guest,
    Host,
    InputDevice,
    Link,
    OurFile,
    PciDevice,
    UsbDevice,
    UsbSocket,
)
from phyllome_seat.model.errors import HostFileError
from phyllome_seat.model.host_json import VERSION, parse_host, render_host
from phyllome_seat.model.printable import one_line
from tests.model.test_address import pci_addresses, pci_ids, usb_ids, usb_ports

PLAIN = {
    str: st.text(st.characters(), max_size=8).map(one_line),
    int: st.integers(-(2**64), 2**64),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
    PciAddress: pci_addresses,
    PciId: pci_ids,
    UsbId: usb_ids,
    UsbPort: usb_ports,
}


def values(kind):
    """Any value of a type, every field of a class given."""
    if kind in PLAIN:
        return PLAIN[kind]
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{f.name: values(hints[f.name]) for f in dataclasses.fields(kind)})
    if get_origin(kind) is tuple:
        first, *rest = get_args(kind)
        if rest == [Ellipsis]:
            return st.lists(values(first), max_size=2).map(tuple)
        return st.tuples(*map(values, get_args(kind)))
    return st.one_of(*map(values, get_args(kind)))


hosts = values(Host)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(hosts)
@example(Host())
@example(Host(guests=()))
def test_what_is_rendered_is_json_and_parses_to_the_same_host(host):
    text = render_host(host)

    assert json.loads(text)["phyllome_seat_host"] == VERSION
    assert text.isascii()
    assert parse_host(text) == host
    assert render_host(parse_host(text)) == text


@pytest.mark.parametrize("field", dataclasses.fields(Host), ids=lambda f: f.name)
def test_every_field_of_a_host_is_carried(field):
    kind = get_type_hints(Host)[field.name]

    @settings(max_examples=20)
    @given(values(kind).filter(lambda value: value != field.default))
    def check(value):
        host = Host(**{field.name: value})

        assert list(json.loads(render_host(host))) == ["phyllome_seat_host", field.name]
        assert parse_host(render_host(host)) == host

    check()


# Texts close to real ones find more than arbitrary ones do.
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
almost = st.recursive(
    scalars | st.sampled_from(["0000:00:14.0", "8086:7ae0", "0000:00:14.0/usb2/4"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    {f.name for f in dataclasses.fields(Host)}
                    | {
                        f.name
                        for kind in (PciDevice, Link, UsbDevice, UsbSocket, InputDevice, Guest)
                        for f in dataclasses.fields(kind)
                    }
                )
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(st.text())
@example("[" * 100_000)
@example("1" * 5_000)
@example('{"phyllome_seat_host": 1, "memory": {"total_kib": ' + "1" * 5_000 + "}}")
@example('{"phyllome_seat_host": true}')
@example("\ud800")
def test_any_text_is_refused_in_words_or_is_a_host(text):
    try:
        host = parse_host(text)
    except HostFileError as error:
        assert str(error)
        assert error.hint
    else:
        assert isinstance(host, Host)


@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Host)]), almost))
def test_any_json_is_refused_in_words_or_is_the_host_it_says(content):
    text = json.dumps({"phyllome_seat_host": 1} | content)
    try:
        host = parse_host(text)
    except HostFileError as error:
        assert str(error)
        assert error.hint
    else:
        assert parse_host(render_host(host)) == host


@given(st.text(st.characters(), max_size=8))  # lone surrogates too: names of files have them
@example("\x1b[2J\nphyllome-seat: forged\u202e")
def test_a_text_is_read_as_one_line_but_for_definitions_and_files(text):
    guest = Guest(text, "uuid", xml=text)
    host = Host(usb=(), guests=(guest,), files=(OurFile("/etc/x", text),), kept_guests=(text,))

    read = parse_host(render_host(host))

    assert read.guests == (Guest(one_line(text), "uuid", xml=text),)
    assert read.files == host.files
    assert read.kept_guests == (one_line(text),)


def host_text(**fields):
    return json.dumps({"phyllome_seat_host": 1} | fields)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (host_text(pci={}), "pci: {} is not a list"),
        (host_text(pci=[{"id": "8086:1234", "class_code": 1}]), "pci[0]: address is missing"),
        (
            host_text(pci=[{"address": "0:0.0", "id": "8086:1234", "class_code": 1}]),
            "pci[0].address: '0:0.0' is not a PCI address",
        ),
        (
            host_text(pci=[{"address": "0000:00:00.0", "id": "8086:1234", "class_code": True}]),
            "pci[0].class_code: True is not a whole number",
        ),
        (host_text(console={"ssh": "yes"}), "console.ssh: 'yes' is not true or false"),
        (host_text(memory={"total_kib": 1.5}), "memory.total_kib: 1.5 is not a whole number"),
        (host_text(kept_guests=[None]), "kept_guests[0]: None is not a text"),
        (
            '{"phyllome_seat_host": 2}',
            "phyllome_seat_host is 2: this phyllome-seat reads version 1",
        ),
        ('{"pci": []}', "key phyllome_seat_host is missing"),
        ("", "no JSON"),
    ],
)
def test_a_refusal_names_the_place_and_what_was_expected(text, words):
    with pytest.raises(HostFileError) as caught:
        parse_host(text)

    assert words in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_number_that_json_reads_as_infinite_is_refused():
    link = '{"speed_gts": 1e999, "width": 1, "max_speed_gts": 1, "max_width": 1}'
    device = f'{{"address": "0000:00:00.0", "id": "8086:1234", "class_code": 1, "link": {link}}}'

    with pytest.raises(HostFileError, match="speed_gts: inf is not a number"):
        parse_host(f'{{"phyllome_seat_host": 1, "pci": [{device}]}}')


def test_a_field_of_a_later_program_is_ignored():
    text = host_text(wormholes=[1], iommu={"units": ["dmar0"], "colour": "red"})

    assert parse_host(text).iommu.units == ("dmar0",)


def test_defaults_are_left_out_and_each_device_has_its_line():
    address = PciAddress(0, 1, 0, 0)
    device = PciDevice(address, PciId(0x10DE, 0x2786), 0x030000)
    before = BeforeBind(address, device.id, None, None, "left")

    assert render_host(Host(pci=(device, device), before=(before,))) == (
        '{"phyllome_seat_host":1,\n'
        '"pci":[\n'
        ' {"address":"0000:01:00.0","id":"10de:2786","class_code":196608},\n'
        ' {"address":"0000:01:00.0","id":"10de:2786","class_code":196608}],\n'
        '"before":[\n'
        ' {"address":"0000:01:00.0","id":"10de:2786","driver":null,"override":null,"seat":"left"}'
        "]}\n"
    )


def test_guests_not_asked_for_differ_from_no_guests():
    assert parse_host(render_host(Host(guests=None))).guests is None
    assert parse_host(render_host(Host(guests=()))).guests == ()


def test_json_is_not_imported_for_plain_texts():
    program = (
        "import sys; from phyllome_seat.model import devices, host_json, address;"
        "host_json.render_host(devices.Host(usb=(devices.UsbDevice("
        "'1-2', None, address.UsbId(1, 2), 1, 2, product='Keyboard', speed_mbps=1.5),)));"
        "sys.exit('json' in sys.modules)"
    )
    root = Path(phyllome_seat.__file__).parents[1]

    assert (
        subprocess.run([sys.executable, "-S", "-c", program], check=False, cwd=root).returncode == 0
    )


def classes(kind):
    """Every class a type is made of, itself included."""
    if dataclasses.is_dataclass(kind) and kind not in PLAIN:
        yield kind
        for hint in get_type_hints(kind).values():
            yield from classes(hint)
    for argument in get_args(kind):
        yield from classes(argument)


def test_every_field_is_in_the_documentation():
    page = Path(__file__).parents[2] / "docs" / "host-json.md"
    # a row's key stands alone or as "`link` in `pci`"; what follows in the row are its keys
    rows = {
        line.split("|")[1].strip(): line for line in page.read_text().splitlines() if "|" in line
    }
    text = "\n".join(rows.values())
    for kind in set(classes(Host)):
        for field in dataclasses.fields(kind):
            assert f"`{field.name}`" in text, (kind, field.name)
    assert [row for row in rows if row.startswith("`") and " in " not in row] == [
        f"`{field.name}`" for field in dataclasses.fields(Host)
    ]


def test_the_example_of_the_documentation_is_a_host():
    page = (Path(__file__).parents[2] / "docs" / "host-json.md").read_text()
    example = page.partition("```json\n")[2].partition("```")[0]

    host = parse_host(example)

    assert render_host(host) == example
    assert host.pci[0].is_gpu and host.pci[1].is_usb_controller
