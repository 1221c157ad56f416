"""Numbers for monitors, and the digits that are drawn on them."""

from dataclasses import replace

import pytest

from phyllome_seat.model.digits import number_rectangles
from phyllome_seat.model.monitors import monitor_json, numbered, render_monitor
from tests.model.hosts import applied_two_seat_pc, two_seat_pc


def test_every_monitor_has_a_number_and_an_empty_socket_has_none():
    assert [(n, c.name) for n, c in numbered(two_seat_pc())] == [
        (1, "HDMI-A-1"),
        (2, "DP-1"),
        (3, "DP-3"),
    ]


def test_a_monitor_keeps_its_number_when_its_card_leaves_the_host():
    before = [(n, c.gpu, c.name) for n, c in numbered(two_seat_pc())]

    assert [(n, c.gpu, c.name) for n, c in numbered(applied_two_seat_pc())] == before


def test_a_monitor_is_named_by_what_it_says_and_where_it_is():
    host = two_seat_pc()
    number, left = numbered(host)[1]

    assert render_monitor(number, left, host) == (
        "  2  DELL U2720Q (serial 8KTXF13), DP-1 of 0000:01:00.0 (GeForce RTX 4070)"
    )
    assert render_monitor(number, left, host, "busy").endswith("\n     not shown: busy")
    assert monitor_json(number, left, None)["serial"] == "8KTXF13"


def test_a_monitor_that_says_nothing_has_its_place():
    host = two_seat_pc()
    mute = replace(numbered(host)[1][1], monitor=None)

    assert "a monitor that does not say what it is, DP-1 of" in render_monitor(2, mute, host)


def drawn(number, width=64, height=48):
    screen = [["."] * width for _ in range(height)]
    for left, top, wide, tall in number_rectangles(number, width, height):
        assert left >= 0 and left + wide <= width
        assert top >= 0 and top + tall <= height
        for row in screen[top : top + tall]:
            row[left : left + wide] = "#" * wide
    return "\n".join("".join(row) for row in screen)


def test_ten_digits_look_different():
    assert len({drawn(number) for number in range(10)}) == 10


@pytest.mark.parametrize("size", [(320, 200), (1080, 1920), (3840, 2160)])
@pytest.mark.parametrize("number", [0, 7, 12, 128])
def test_a_number_stays_on_its_screen(number, size):
    for left, top, wide, tall in number_rectangles(number, *size):
        assert left >= 0 and left + wide <= size[0]
        assert top >= 0 and top + tall <= size[1]


def test_a_number_is_large():
    rectangles = number_rectangles(2, 1920, 1080)

    assert max(top + tall for _, top, _, tall in rectangles) - min(r[1] for r in rectangles) > 600
