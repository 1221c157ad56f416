"""Seats that get single USB ports and devices of the host's own controller, at their start."""

from __future__ import annotations

import re

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import UsbKind, UsbThing
from phyllome_seat.lab.guestlog import typed_text
from tests.lab.conftest import EXAMPLE
from tests.lab.story import AT_ONCE, Story, demo

pytestmark = pytest.mark.lab

OF_THE_EXAMPLE = ("left-keyboard", "left-tablet", "right-keyboard", "right-tablet")
# Two keyboards that nothing but their place tells apart, one of them behind a hub.
PLUGGED = (
    UsbThing("at-port", UsbKind.KEYBOARD, "2", serial="SAME", card="left"),
    UsbThing("hub", UsbKind.HUB, "3"),
    UsbThing("behind-hub", UsbKind.KEYBOARD, "3.1", serial="SAME", card="right"),
    UsbThing("by-name", UsbKind.TABLET, "4", serial="DT1", card="left"),
)
HOST_USB = 'controller: "0000:00:08.0", id: "1b36:000d"'
BY_PORT = {
    "left": (
        f'port: {{{HOST_USB}, usb2: "2"}}',
        'device: {id: "0627:0001", serial: "DT1"}',
        'device: {id: "dead:beef", serial: "not there"}',
    ),
    "right": (f'port: {{{HOST_USB}, usb2: "3"}}',),
}
KEYBOARDS = ("at-port", "behind-hub")


def seat_file(usb):
    """Returns the example's seat file with other USB places, by seat."""
    text = (EXAMPLE.parent / "seats.yaml").read_text()
    places = iter(usb.values())
    return re.sub(
        r"      - controller: .*\n",
        lambda _: "".join(f"      - {place}\n" for place in next(places)),
        text,
    )


@pytest.fixture(scope="module")
def story(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        for thing in OF_THE_EXAMPLE:
            pc.unplug(thing)
        for thing in PLUGGED:
            pc.plug(thing, "host-usb")
        pc.wait("grep -c SAME /sys/bus/usb/devices/*/serial | grep -c :1 | grep -qx 2")
        pc.wait("grep -q DT1 /sys/bus/usb/devices/*/serial && udevadm settle")
        story = Story(pc)
        story.prepare(seat_file(BY_PORT))
        yield story


def serials_in(log):
    return {device.uniq for device in log.inputs if device.id == "0627:0001"}


def drivers(story):
    """Returns the driver of each interface of the host's controller, by its kernel name."""
    lines = story.pc.run(
        "for i in $(find /sys/bus/pci/devices/0000:00:08.0/ -name '*-*:1.0'); do "
        'echo "$(basename $i) $(basename $(readlink $i/driver))"; done'
    ).stdout.splitlines()
    return {name.partition("-")[2]: driver for name, driver in map(str.split, lines)}


def test_twins_are_refused_by_name_and_told_apart_by_their_port(story):
    by_name = {"left": ('device: {id: "0627:0001", serial: "SAME"}',), "right": BY_PORT["right"]}
    story.pc.put("/root/by-name.yaml", seat_file(by_name))

    refused = story.pc.run("phyllome-seat plan -f /root/by-name.yaml", check=False)

    assert refused.status == 1
    assert "0627:0001 is 2 devices, at 0000:00:08.0/usb2/2 and 0000:00:08.0/usb2/3.1: name the" in (
        refused.stderr
    )
    plan = story.command("plan")
    assert "seat left: dead:beef (serial not there) is not plugged in now; it goes here" in plan


@pytest.mark.soak  # for its length: it held
def test_what_is_in_a_port_arrives_at_start_and_comes_back_after_stop(story):
    before = drivers(story)
    assert before["3:1.0"] == "hub"
    assert [before[place] for place in ("2:1.0", "3.1:1.0", "4:1.0")] == ["usbhid"] * 3
    story.command("apply")
    assert "nothing to do" in story.command("plan")

    said = story.command("start")

    for words in ("usb2/2)", "usb2/4)", "usb2/3.1)"):
        assert words in said, said
    logs = {seat: story.wait_ready(seat) for seat in demo.SEATS}
    assert {seat: serials_in(log) for seat, log in logs.items()} == {
        "left": {"SAME", "DT1"},
        "right": {"SAME"},
    }
    during = drivers(story)
    assert during["3:1.0"] == "hub"  # what is behind it went, never the hub itself
    assert [during[place] for place in ("2:1.0", "3.1:1.0", "4:1.0")] == ["usbfs"] * 3
    assert during["1:1.0"] == "usbhid"

    texts = {seat: text[:AT_ONCE] for seat, text in demo.random_texts().items()}
    story.listen()
    story.pc.type_at_once(dict(zip(KEYBOARDS, texts.values(), strict=True)))
    story.pc.point("by-name", 0.3, 0.6)
    assert story.wait_typed(texts) == texts
    assert {e.device.uniq for e in story.log("left").events if e.type == "EV_ABS"} == {"DT1"}
    heard = story.heard()
    assert (heard.keys, heard.pointers) == (0, 0)

    story.command("stop")
    story.pc.wait("test $(ls -d /sys/bus/usb/drivers/usbhid/*:1.0 | wc -l) -eq 4")
    assert drivers(story) == before


@pytest.mark.soak  # takes minutes
def test_a_guest_starts_without_what_is_pulled_out(story):
    story.command("apply")
    story.pc.unplug("behind-hub")
    story.pc.wait("! test -e /sys/bus/pci/devices/0000:00:08.0/usb*/*-3/*-3.1")
    # what it said in the story before is no answer
    story.pc.run("truncate -cs 0 /var/log/libvirt/qemu/right-serial.log")

    story.command("start", "right")

    log = story.wait_ready("right")
    assert log.seat == "right"
    assert not serials_in(log)
    assert typed_text(log) == ""
    story.command("stop", "right")
