"""PC descriptions: read, or refused with the file and the key."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.lab.describe import parse_description, parse_thing, read_description
from phyllome_seat.lab.description import CardModel, Place, PlaceKind, UsbKind
from phyllome_seat.lab.errors import DescriptionError


def test_the_two_seat_example_is_read(two_seats):
    assert [card.id for card in two_seats.cards] == ["console", "left", "right"]
    assert two_seats.host_card == "console"
    assert two_seats.card("left").sound
    assert two_seats.card("left").screen.serial == "8KTXF13"
    assert two_seats.thing("right-keyboard")[0].id == "right-usb"


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent / "pcs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_pc_of_the_stories_is_read(path):
    pc = read_description(path)

    assert pc.cards
    assert any(thing.kind is UsbKind.KEYBOARD for usb in pc.usb for thing in usb.plugged)


def test_a_card_beside_an_integrated_one_has_sound_and_a_controller_of_its_own():
    pc = read_description(Path(__file__).parent / "pcs/integrated.yaml")

    assert pc.card(pc.host_card).place == Place(PlaceKind.BUS)
    assert pc.card("left").sound
    assert pc.card("left").place == pc.thing("left-keyboard")[0].place == Place(PlaceKind.OWN)


def test_every_part_can_be_described():
    pc = parse_description(
        """
        version: 1
        memory: 2GiB
        ps2: true
        cards:
          - {id: one, model: virtio-gpu-pci, place: shared a, monitor: {name: "N", serial: "S"}}
        usb:
          - id: usb
            ports: 6
            place: switch s
            plugged:
              - {id: hub, kind: hub, port: "1"}
              - {id: twin-a, kind: keyboard, port: "1.1", serial: "", card: one}
              - {id: twin-b, kind: mouse, port: "1.2", serial: "x"}
        disks: [{id: data, model: nvme, size: 1GiB}]
        nics: [{id: lan, model: e1000e}]
        """
    )
    assert pc.cards[0].model is CardModel.VIRTIO
    assert pc.cards[0].place == Place(PlaceKind.SHARED, "a")
    assert [thing.kind for thing in pc.usb[0].plugged] == [
        UsbKind.HUB,
        UsbKind.KEYBOARD,
        UsbKind.MOUSE,
    ]
    assert [thing.serial for thing in pc.usb[0].plugged] == [None, "", "x"]
    assert (pc.memory_mib, pc.disks[0].size_mib, pc.ps2) == (2048, 1024, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected keys and values"),
        ("version: 2", "version: expected `version: 1`"),
        ("version: 1\ncrads: []", "crads: not known here; known are version, cards"),
        ("version: 1\ncards: {}", "cards: expected a list"),
        ("version: 1\ncards: [{id: Left}]", "cards[0].id: expected a name"),
        ("version: 1\ncards: [{id: a, model: geforce}]", "cards[0].model: expected one of"),
        ("version: 1\ncards: [{id: a, place: shared}]", "cards[0].place: expected own, bus"),
        ("version: 1\ncards: [{id: a, sound: 1}]", "cards[0].sound: expected true or false"),
        ("version: 1\ncards: [{id: a}, {id: a}]", "a: is the id of more than one part"),
        ("version: 1\nhost-card: b\ncards: [{id: a}]", "host-card: no card 'b'; there are a"),
        ("version: 1\nmemory: lots", "memory: expected a size like 4GiB"),
        (
            "version: 1\ncards: [{id: a, monitor: {name: a name that is too long}}]",
            "cards[0].monitor.name: expected up to 13",
        ),
        (
            'version: 1\nusb: [{id: u, plugged: [{id: k, kind: keyboard, port: "2.1"}]}]',
            "k: no hub at port 2 of u",
        ),
        (
            'version: 1\nusb: [{id: u, plugged: [{id: k, kind: keyboard, port: "9"}]}]',
            "k: u has no port 9",
        ),
        ("version: [", "is not YAML"),
    ],
)
def test_a_mistake_is_refused_with_file_and_key(text, said):
    with pytest.raises(DescriptionError) as refused:
        parse_description(text, "some.yaml")

    assert str(refused.value).startswith("some.yaml: ")
    assert said in str(refused.value)
    assert refused.value.exit_status == 2


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for parse in (parse_description, parse_thing):
        with suppress(DescriptionError):
            parse(text)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DescriptionError, match="cannot be read"):
        read_description(tmp_path / "none.yaml")
