from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.input_kinds import KINDS, Capabilities, classify, parse_bits

KEY, REL, ABS, SW = 1 << 1, 1 << 2, 1 << 3, 1 << 5
ALL_KEYS = (1 << 32) - 2
POWER, LEFT, BTN_0, STYLUS, TOUCH, PEN, FINGER = 116, 0x110, 0x100, 0x14B, 0x14A, 0x140, 0x145
X_AND_Y = 0b11


def bits(*codes):
    return sum(1 << code for code in codes)


@pytest.mark.parametrize(
    ("can", "kinds"),
    [
        (Capabilities(events=KEY, keys=bits(POWER)), ("key",)),
        (Capabilities(events=KEY, keys=ALL_KEYS), ("key", "keyboard")),
        (Capabilities(events=KEY, keys=ALL_KEYS & ~bits(17)), ("key",)),
        (Capabilities(events=KEY | REL, keys=bits(LEFT), relative=X_AND_Y), ("mouse",)),
        (Capabilities(events=KEY | ABS, keys=bits(LEFT), absolute=X_AND_Y), ("mouse",)),
        (
            Capabilities(bus_type=0x18, events=KEY | REL, keys=bits(LEFT), relative=X_AND_Y),
            ("mouse", "pointingstick"),
        ),
        (
            Capabilities(events=KEY | ABS, keys=bits(FINGER, TOUCH, LEFT), absolute=X_AND_Y),
            ("touchpad",),
        ),
        (Capabilities(events=KEY | ABS, keys=bits(TOUCH), absolute=X_AND_Y), ("touchscreen",)),
        (Capabilities(events=KEY | ABS, keys=bits(PEN, TOUCH), absolute=X_AND_Y), ("tablet",)),
        (
            Capabilities(events=KEY | ABS, keys=bits(BTN_0, STYLUS), absolute=X_AND_Y),
            ("tablet_pad",),
        ),
        (Capabilities(events=KEY | ABS, keys=bits(0x130, 0x131), absolute=0xFF), ("joystick",)),
        (Capabilities(events=SW), ("switch",)),
        (Capabilities(events=ABS, absolute=0b111), ("accelerometer",)),
        (Capabilities(), ()),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_what_it_can_send_says_what_it_is(can, kinds):
    assert classify(can) == kinds


def test_a_keyboard_with_a_volume_wheel_is_no_tablet():
    wheel = bits(6)

    can = Capabilities(events=KEY | REL, keys=ALL_KEYS | bits(BTN_0), relative=wheel)

    assert classify(can) == ("key", "keyboard")


def test_keys_without_key_events_are_none():
    assert classify(Capabilities(events=SW, keys=ALL_KEYS)) == ("switch",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("0", 0), ("3", 3), ("1 0", 1 << 64), ("x", 0), ("1 \n 2", (1 << 64) + 2), ("-1", 0)],
)
def test_a_bitmap_has_its_highest_word_first(text, expected):
    assert parse_bits(text) == expected


NUMBERS = st.integers(0, (1 << 768) - 1)


@given(st.builds(Capabilities, st.integers(0, 0xFFFF), NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def test_anything_has_kinds_in_their_order(can):
    kinds = classify(can)

    assert list(kinds) == [kind for kind in KINDS if kind in kinds]
    assert ("keyboard" in kinds) <= ("key" in kinds)
