"""`classify` on the input nodes of real devices, against what udev and people called them."""

from __future__ import annotations

import json

import pytest

from phyllome_seat.model.input_kinds import Capabilities, classify, parse_bits
from tests.recorded import count_tested, recorded

# What a person's or libinput's word says of a node, as the kinds of which it must have one. Words
# for details (how many fingers, which buttons) say nothing of the kind.
PEOPLES_WORDS = {
    "joysticks": {"joystick"},
    "keyboards": {"key", "mouse"},  # a keyboard's folder holds its pointer's nodes too
    "mice": {"mouse"},
    "trackballs": {"mouse"},  # which mouse is a ball is in udev's hardware database
    "trackpoints": {"mouse"},
    "touchpads": {"touchpad"},
    "touchscreens": {"touchscreen"},
    # a tablet's folder holds the nodes of its frame and of the fingers on it too
    "tablets": {"tablet", "tablet_pad", "touchpad", "touchscreen"},
    "keys": {"key"},
    "touchpad": {"touchpad"},
    "touch": {"touchscreen"},
    "tablet": {"tablet"},
    "tablet_pad": {"tablet_pad"},
    "switch": {"switch"},
    "pointingstick": {"pointingstick"},
    "trackball": {"mouse"},
}
POINTERS = {"mouse", "touchpad", "touchscreen", "tablet", "tablet_pad", "joystick"}

WORDS_OF_32_BIT = "bitmaps of a 32-bit kernel, whose words look like those of a 64-bit one"
DIFFERENCES = {
    ("SAMSUNG_N310.txt", "Sleep Button"): WORDS_OF_32_BIT,
    ("SAMSUNG_N310.txt", "AT Translated Set 2 keyboard"): WORDS_OF_32_BIT,
    ("SAMSUNG_N310.txt", "SynPS/2 Synaptics TouchPad"): WORDS_OF_32_BIT,
    ("tablets/QEMU 0.12.1 QEMU USB Tablet.desc", "QEMU 0.12.1 QEMU USB Tablet"): (
        "a mouse that sends places, called a tablet by QEMU alone: udev calls it a mouse"
    ),
    (
        "litest-device-dell-canvas-totem.c",
        "Advanced Silicon S.A. CoolTouch® System System Multi Axis",
    ): ("a knob put on a screen: only a rule written for this device makes it a tablet"),
}


@pytest.fixture(scope="module")
def rows():
    lines = recorded("evdev/nodes.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def kinds_of(row):
    bitmaps = row["capabilities"]
    return set(
        classify(
            Capabilities(
                bus_type=row["bustype"],
                properties=parse_bits(row["properties"]),
                events=parse_bits(bitmaps["ev"]),
                keys=parse_bits(bitmaps["key"]),
                relative=parse_bits(bitmaps["rel"]),
                absolute=parse_bits(bitmaps["abs"]),
            )
        )
    )


def wanted_kinds(words):
    """Return the sets of kinds a node must have one of each, by the words of people."""
    wanted = [PEOPLES_WORDS[word] for word in words if word in PEOPLES_WORDS]
    if "button" in words and {"relative", "absolute"} & set(words):
        wanted.append({"mouse"})
    if "single_touch" in words and "touchpad" not in words:
        wanted.append({"touchscreen"})
    return wanted


def is_as_labelled(row, names_switches):
    kinds = kinds_of(row)
    words = row["label"]["value"]
    if row["label"]["scheme"].startswith("udev"):
        if not names_switches:
            kinds -= {"switch"}
        return kinds == set(words) - {"sndjack"}  # its name for a sound jack until systemd 218
    wanted = wanted_kinds(words)
    pointers = set().union(*wanted) & POINTERS
    is_something_else = bool(pointers and kinds & POINTERS - pointers)
    return all(kinds & kind for kind in wanted) and not is_something_else


def test_every_node_is_what_udev_or_a_person_called_it(rows):
    # udev has a word for switches since systemd 234: who never says it did not know it
    knows = {row["file"] for row in rows if "switch" in row["label"]["value"]}
    for row in rows:
        count_tested(
            "input nodes", f"{row['source']}: {row['file']}: {row['name']}: {row.get('node')}"
        )

    differing = {
        (row["file"], row["name"]) for row in rows if not is_as_labelled(row, row["file"] in knows)
    }

    assert differing == set(DIFFERENCES)
    assert len(DIFFERENCES) <= len(rows) * 0.02


def test_no_device_that_types_is_missed(rows):
    for row in rows:
        if "keyboard" in row["label"]["value"] and (row["file"], row["name"]) not in DIFFERENCES:
            assert "keyboard" in kinds_of(row), row["name"]
