"""A seat file whose hardware moved."""

from dataclasses import replace

import pytest

from phyllome_seat.model.address import UsbId
from phyllome_seat.model.devices import Host
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.remap import edit_text, remap
from phyllome_seat.model.seat_file import parse_wish, render_wish
from phyllome_seat.model.seen import remember
from tests.model.hosts import (
    LEFT_GPU,
    LEFT_USB,
    RIGHT_GPU,
    RIGHT_USB,
    address,
    applied_two_seat_pc,
    two_seat_pc,
    two_seat_wish,
)


def moved(host, places):
    """The PC with functions at other addresses, and all that hangs on them."""
    to = {address(old): address(new) for old, new in places.items()}

    def port(where):
        return where and replace(where, controller=to.get(where.controller, where.controller))

    return replace(
        host,
        pci=tuple(
            replace(d, address=to.get(d.address, d.address), parent=to.get(d.parent, d.parent))
            for d in host.pci
        ),
        connectors=tuple(replace(c, gpu=to.get(c.gpu, c.gpu)) for c in host.connectors),
        usb=tuple(replace(d, port=port(d.port)) for d in host.usb),
        sockets=tuple(replace(s, ports=tuple(map(port, s.ports))) for s in host.sockets),
        inputs=tuple(replace(i, usb=port(i.usb), pci=to.get(i.pci, i.pci)) for i in host.inputs),
    )


TEXT = "# ours\n" + render_wish(two_seat_wish())
WISH = parse_wish(TEXT)


@pytest.mark.parametrize("host", [two_seat_pc(), applied_two_seat_pc()])
def test_where_nothing_moved_nothing_changes(host):
    found = remap(WISH, host)

    assert (found.wish, found.edits, found.reasons) == (WISH, (), ())
    assert edit_text(TEXT, found) == TEXT


def test_a_card_in_another_slot_is_found_by_its_identity():
    found = remap(WISH, moved(two_seat_pc(), {LEFT_GPU: "0000:09:00.0"}))

    text = edit_text(TEXT, found)
    assert text == TEXT.replace(LEFT_GPU, "0000:09:00.0")
    assert parse_wish(text) == found.wish
    assert any("0000:09:00.0" in reason for reason in found.reasons)
    assert found.left == ()


def test_twin_controllers_that_both_moved_keep_their_order_and_it_is_said():
    places = {LEFT_USB: "0000:0a:00.0", RIGHT_USB: "0000:0b:00.0"}

    found = remap(WISH, moved(two_seat_pc(), places))

    assert [str(seat.usb[0].address) for seat in found.wish.seats] == list(places.values())
    assert all("if no twin took its place" in reason for reason in found.reasons)
    assert "# ours\n" in edit_text(TEXT, found)


def test_twins_that_a_bus_more_moved_on_are_told_by_what_was_plugged_into_them():
    seen = remember(Host(), two_seat_pc())
    shifted = moved(two_seat_pc(), {LEFT_USB: RIGHT_USB, RIGHT_USB: "0000:0b:00.0"})

    by_place = remap(WISH, shifted)
    found = remap(WISH, shifted, seen)

    assert str(by_place.wish.seats[0].usb[0].address) != RIGHT_USB  # which cannot know
    assert [str(seat.usb[0].address) for seat in found.wish.seats] == [RIGHT_USB, "0000:0b:00.0"]
    assert f"last seen on {LEFT_USB}, is on {RIGHT_USB}" in found.reasons[0]
    assert f"last seen on {RIGHT_USB}, is on 0000:0b:00.0" in found.reasons[1]
    assert found.left == ()


def test_one_controller_is_not_proposed_for_two_seats_where_the_other_is_taken_out():
    host = two_seat_pc()
    seen = remember(Host(), host)
    left, right = address(LEFT_USB), address(RIGHT_USB)
    gone = replace(
        host,
        pci=tuple(d for d in host.pci if d.address != left),
        sockets=tuple(s for s in host.sockets if s.ports[0].controller != left),
        usb=tuple(
            replace(d, port=replace(d.port, controller=right))
            for d in host.usb
            if d.port and d.port.controller == left
        ),
    )

    found = remap(WISH, gone, seen)

    assert [str(seat.usb[0].address) for seat in found.wish.seats] == [LEFT_USB, RIGHT_USB]
    assert LEFT_USB in " ".join(found.left)


def test_what_hands_plugged_into_the_others_controller_moves_no_controller():
    host = two_seat_pc()
    seen = remember(Host(), host)
    other = {address(LEFT_USB): address(RIGHT_USB), address(RIGHT_USB): address(LEFT_USB)}
    swapped = replace(
        host,
        usb=tuple(
            replace(d, port=replace(d.port, controller=other.get(d.port.controller)))
            if d.port and d.port.controller in other
            else d
            for d in host.usb
        ),
    )

    assert remap(WISH, swapped, seen).edits == ()


def test_twins_with_nothing_to_tell_them_apart_keep_their_order():
    host = two_seat_pc()
    twins = replace(
        host,
        usb=tuple(
            replace(d, id=UsbId.parse("0627:0001"), serial=None)
            for d in host.usb
            if str(d.port and d.port.controller) in (LEFT_USB, RIGHT_USB)
        ),
    )
    places = {LEFT_USB: "0000:0a:00.0", RIGHT_USB: "0000:0b:00.0"}

    found = remap(WISH, moved(twins, places), remember(Host(), twins))

    assert [str(seat.usb[0].address) for seat in found.wish.seats] == list(places.values())
    assert all("if no twin took its place" in reason for reason in found.reasons)


def test_one_twin_that_moved_is_not_taken_for_the_other_that_stayed():
    found = remap(WISH, moved(two_seat_pc(), {RIGHT_USB: "0000:0b:00.0"}))

    assert [str(seat.usb[0].address) for seat in found.wish.seats] == [LEFT_USB, "0000:0b:00.0"]
    assert "if no twin took its place" in found.reasons[0]


def test_a_twin_in_the_place_of_the_other_is_told_by_its_monitor():
    host = two_seat_pc()
    twins = replace(
        host,
        pci=tuple(
            replace(d, id=host.by_address[address(LEFT_GPU)].id)
            if d.address == address(RIGHT_GPU)
            else d
            for d in host.pci
        ),
    )
    swapped = moved(twins, {LEFT_GPU: RIGHT_GPU, RIGHT_GPU: LEFT_GPU})

    found = remap(WISH, swapped)

    assert found.wish.seats[0].gpu.address == address(RIGHT_GPU)
    assert "DELL U2720Q (serial 8KTXF13) of seat left is on 0000:02:00.0" in found.reasons[0]


def test_what_is_gone_stays_as_it_was_and_is_said():
    host = two_seat_pc()
    without = replace(host, pci=tuple(d for d in host.pci if d.address != address(LEFT_GPU)))

    found = remap(WISH, without)

    assert found.wish.seats[0].gpu == WISH.seats[0].gpu
    assert any("no 10de:2786 is in this PC" in left for left in found.left)


def test_a_new_monitor_takes_the_place_of_one_that_is_nowhere():
    host = two_seat_pc()
    new = Monitor("GSM", 1, serial="77", name='New "Screen"')
    seen = tuple(
        replace(c, monitor=new) if c.gpu == address(LEFT_GPU) and c.monitor else c
        for c in host.connectors
    )

    found = remap(WISH, replace(host, connectors=seen))

    assert (found.wish.seats[0].monitor.name, found.wish.seats[0].monitor.serial) == (
        'New "Screen"',
        "77",
    )
    assert parse_wish(render_wish(found.wish)).seats[0].monitor.serial == "77"


def test_a_text_in_which_an_edit_has_no_place_is_not_edited():
    found = remap(WISH, moved(two_seat_pc(), {LEFT_GPU: "0000:09:00.0"}))

    assert edit_text("version: 1\n", found) is None
