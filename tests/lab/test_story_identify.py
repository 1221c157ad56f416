"""Which keyboard is it: a key is pressed, and the answer climbs to the controller and its group."""

from __future__ import annotations

import json
import time

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import UsbKind, UsbThing
from phyllome_seat.lab.usbmodels import gamepad_report
from phyllome_seat.model.digits import number_rectangles
from tests.lab.conftest import EXAMPLE
from tests.lab.console import Console
from tests.lab.story import Story

pytestmark = pytest.mark.lab

# Two keyboards that nothing but their place tells apart, one of them behind a hub.
PLUGGED = (
    UsbThing("at-port", UsbKind.KEYBOARD, "2", serial="SAME", card="left"),
    UsbThing("hub", UsbKind.HUB, "3"),
    UsbThing("behind-hub", UsbKind.KEYBOARD, "3.1", serial="SAME", card="right"),
)
PAD = UsbThing("pad", UsbKind.GAMEPAD, "4")
LATE = UsbThing("late", UsbKind.KEYBOARD, "4", serial="LATE", card="right")
HOST_USB = "0000:00:08.0"
PLAN_NAMED = ("plan", "-f", "/root/named.yaml", "--json")


@pytest.fixture(scope="module")
def story(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        for thing in ("left-keyboard", "right-keyboard", "right-tablet"):
            pc.unplug(thing)
        for thing in PLUGGED:
            pc.plug(thing, "host-usb")
        pc.wait("grep -c SAME /sys/bus/usb/devices/*/serial | grep -c :1 | grep -qx 2")
        pc.wait("udevadm settle; test $(ls -d /dev/input/by-path/*event-kbd | wc -l) -ge 3")
        story = Story(pc)
        story.prepare()
        yield story


class Asking:
    """One `identify` at work in the PC."""

    def __init__(self, pc, *words):
        self.pc = pc
        command = " ".join(("phyllome-seat identify --json", *words))
        pc.run(f"rm -f /root/asked; ({command}; echo $? >/root/asked) >/root/out 2>/root/err &")
        pc.wait("grep -q 'press a key' /root/err")
        # every node is open: all of them but none of another program's
        pc.wait("ls -l /proc/$(pgrep -f 'phyllome-seat identif[y]' | tail -1)/fd | grep -q event0")

    def answer(self):
        """Return status, answer, what it complained of."""
        self.pc.wait("test -s /root/asked", timeout_s=30)
        out = self.pc.get("/root/out").decode()
        status = int(self.pc.get("/root/asked"))
        return status, json.loads(out) if out else None, self.pc.get("/root/err").decode()


def test_two_equal_keyboards_are_told_apart_by_the_key_that_is_pressed(story):
    answers = {}
    for keyboard in ("at-port", "behind-hub"):
        asking = Asking(story.pc, "left")
        story.pc.press(keyboard, "shift")
        answers[keyboard] = asking.answer()

    assert [status for status, _, _ in answers.values()] == [0, 0]
    one, other = (answer for _, answer, _ in answers.values())
    assert one["usb"] | {"port": ""} == other["usb"] | {"port": ""}
    assert one["usb"]["port"] == f"{HOST_USB}/usb2/2"
    assert other["usb"]["port"] == f"{HOST_USB}/usb2/3.1"
    assert (
        f"of the same model, and not this one: at {HOST_USB}/usb2/1, {HOST_USB}/usb2/3.1"
        in (one["words"])
    )


def test_a_keyboard_behind_a_hub_is_traced_to_its_hub_controller_and_group(story):
    asking = Asking(story.pc, "left")
    story.pc.press("behind-hub", "a")

    _, found, _ = asking.answer()

    assert [hub["port"] for hub in found["hubs"]] == [f"{HOST_USB}/usb2/3"]
    assert found["controller"] == HOST_USB
    group = story.pc.run(
        f"basename $(readlink /sys/bus/pci/devices/{HOST_USB}/iommu_group)"
    ).stdout.strip()
    assert found["iommu_group"] == int(group)
    assert found["verdict"] == "port"
    story.pc.put(
        "/root/pasted.yaml",
        f"version: 1\nseats:\n  left:\n    usb:\n      - {found['lines'][0]['usb']}\n",
    )
    assert f"below {HOST_USB}" in story.command("plan", "-f", "/root/pasted.yaml")


def test_a_click_identifies_a_pointer_whose_whole_controller_can_go(story):
    asking = Asking(story.pc)
    story.pc.point("left-tablet", 0.3, 0.6)
    time.sleep(0.5)
    story.pc.click("left-tablet")

    status, found, _ = asking.answer()

    assert status == 0
    assert found["usb"]["serial"] == "LT1"
    assert found["verdict"] == "controller"
    assert found["lines"][0]["usb"] == 'controller: {pci: "0000:02:00.0", id: "1b36:000d"}'


def test_a_gamepads_button_identifies_it_and_its_stick_does_not(story):
    story.pc.plug(PAD, "host-usb")
    story.pc.wait("grep -q PAD1 /sys/class/input/event*/device/uniq && udevadm settle")
    asking = Asking(story.pc, "right")
    for stick in (0, 255, 128):
        story.pc.device("pad").report(gamepad_report(stick, stick, frozenset()))
    time.sleep(1)
    assert not story.pc.get("/root/out")
    story.pc.press("pad", "south")

    status, found, _ = asking.answer()

    assert (status, found["usb"]["serial"], found["verdict"]) == (0, "PAD1", "port")
    assert found["usb"]["port"] == f"{HOST_USB}/usb2/4"
    story.pc.unplug("pad")


# What a node says to who asked for keys alone, and to who did not.
MASKED = """
import os, sys, time
from phyllome_seat.system.identify import _EVENT, _only_keys
kinds = {}
nodes = {name: os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK) for name in ("keys", "all")}
_only_keys(nodes["keys"])
print("listening", flush=True)
time.sleep(5)
for name, fd in nodes.items():
    content = os.read(fd, 1 << 16)
    print(name, sorted({kind for _, _, kind, _, _ in _EVENT.iter_unpack(content)}), flush=True)
"""


def test_the_kernel_keeps_all_but_keys_and_buttons_from_who_waits_for_a_press(story):
    pc = story.pc
    pc.put("/root/masked.py", MASKED)
    node = pc.run("ls /dev/input/by-id/*LT1-event*").stdout.split()[0]
    python = "$(sed -n '1s/^#!//p' $(command -v phyllome-seat))"
    pc.run(f"{python} /root/masked.py {node} >/root/kinds 2>&1 &")
    pc.wait("grep -q listening /root/kinds")
    pc.point("left-tablet", 0.2, 0.4)
    pc.click("left-tablet")
    pc.wait("grep -q ^all /root/kinds", timeout_s=30)

    # EV_SYN ends each report; EV_KEY 1, EV_ABS 3, EV_MSC 4
    assert pc.get("/root/kinds").decode().splitlines()[1:] == ["keys [0, 1]", "all [0, 1, 3, 4]"]


def test_a_report_names_nobody_and_can_be_planned_against(story):
    pc = story.pc
    seats = (EXAMPLE.parent / "seats.yaml").read_text()
    for serial in ("8KTXF13", "104NTAB"):
        seats = seats.replace(f', serial: "{serial}"', "")
    pc.put("/root/named.yaml", seats)
    pc.run("rm -f /root/pc.json")

    story.command("check", "--report", "/root/pc.json")

    report = pc.get("/root/pc.json").decode()
    own = pc.run("cat /sys/class/net/e*/address /etc/machine-id")
    # that of a controller's own hub is its address
    serials = pc.run("cat /sys/bus/usb/devices/*-*/serial").stdout.split()
    secrets = {"8KTXF13", "104NTAB", "H0001", *own.stdout.split(), *serials}
    assert len(secrets) > 8
    assert [word for word in secrets if word.lower() in report.lower()] == []
    binds = [
        [
            step["words"]
            for step in json.loads(story.command(*words))["steps"]
            if "BindDriver" in step["step"]
        ]
        for words in (PLAN_NAMED, (*PLAN_NAMED, "--host", "/root/pc.json"))
    ]
    assert len(binds[0]) == 6
    assert binds[0] == binds[1]


def test_esc_and_the_time_limit_end_it_with_status_1(story):
    asking = Asking(story.pc)
    story.pc.press("host-keyboard", "esc")
    status, found, complaint = asking.answer()
    assert (status, found) == (1, None)
    assert "ended by Esc" in complaint

    asking = Asking(story.pc, "--timeout 2")
    status, found, complaint = asking.answer()
    assert (status, found) == (1, None)
    assert "no key or button was pressed within 2 s" in complaint


def test_a_keyboard_that_is_plugged_in_meanwhile_is_heard(story):
    asking = Asking(story.pc)
    story.pc.unplug("at-port")
    story.pc.plug(LATE, "host-usb")
    story.pc.wait("grep -q LATE /sys/bus/usb/devices/*/serial && udevadm settle")
    story.pc.wait("test -e /dev/input/by-id/*LATE*event-kbd")
    story.pc.press("late", "shift")

    status, found, _ = asking.answer()

    assert (status, found["usb"]["serial"]) == (0, "LATE")
    story.pc.unplug("late")
    story.pc.plug(PLUGGED[0], "host-usb")
    story.pc.wait("test $(ls -d /dev/input/by-path/*event-kbd | wc -l) -ge 3")


def test_a_socket_is_learned_by_a_plug_with_both_its_speeds(story):
    pc = story.pc
    pc.run("(phyllome-seat identify --ports left --timeout 6 --json) >/root/out 2>/root/err &")
    pc.wait("grep -q 'plug a stick' /root/err")
    pc.plug(LATE, "host-usb")
    pc.wait("! pgrep -f 'identif[y] --ports'", timeout_s=60)
    pc.unplug("late")

    (socket,) = json.loads(pc.get("/root/out"))["sockets"]

    assert socket["ports"] == [f"{HOST_USB}/usb2/4", f"{HOST_USB}/usb3/4"]
    assert socket["line"].startswith(f'port: {{controller: "{HOST_USB}", id: "1b36:000d"')


def test_what_was_pressed_reaches_no_shell_and_the_keyboard_is_everyones_again(story):
    console = Console(story.pc)
    console.start('phyllome-seat identify left; read -r line; echo "got:$line:"')
    console.wait_for("press a key on the keyboard of seat left")
    story.pc.wait(
        "ls -l /proc/$(pgrep -f 'phyllome-seat identif[y]' | tail -1)/fd | grep -q event0"
    )
    story.pc.press("behind-hub", "x")
    shown = "\n".join(console.wait_for("behind QEMU QEMU USB Hub"))
    assert "only this port can go to seat left" in shown

    story.listen()
    story.pc.type("behind-hub", "after\n")

    console.wait_for("got:after:")
    assert console.wait() == 0
    assert story.heard().keys == len("after\n")


def number_on(picture, numbers=range(1, 10)):
    """Return the number that a monitor shows, None when it shows none of these."""
    for number in numbers:
        strokes = number_rectangles(number, picture.width, picture.height)
        inked = sum(wide * tall for _, _, wide, tall in strokes)
        white = sum(
            picture.rgb[i : i + 3] == b"\xff\xff\xff" for i in range(0, len(picture.rgb), 3)
        )
        middles = [(left + wide // 2, top + tall // 2) for left, top, wide, tall in strokes]
        if inked >= white > inked // 2 and all(
            picture.rgb[(y * picture.width + x) * 3] == 0xFF for x, y in middles
        ):
            return number
    return None


def test_each_monitor_shows_its_number_and_then_what_it_showed_before(story):
    cards = ("console", "left", "right")
    before = {card: story.pc.picture(card) for card in cards}
    assert {number_on(picture) for picture in before.values()} == {None}
    story.pc.run(
        "(phyllome-seat identify --monitors --timeout 8 --json; echo $? >/root/asked) "
        ">/root/out 2>/root/err &"
    )
    story.pc.wait("grep -q 'shows its number' /root/err")
    time.sleep(3)

    shown = {card: number_on(story.pc.picture(card)) for card in cards}

    story.pc.wait("! pgrep -f 'identif[y] --monitors'", timeout_s=30)
    monitors = json.loads(story.pc.get("/root/out"))["monitors"]
    named = {m["serial"]: m["number"] for m in monitors if m["not_shown"] is None}
    assert shown == {"console": named["H0001"], "left": named["8KTXF13"], "right": named["104NTAB"]}
    after = {card: story.pc.picture(card) for card in cards}
    assert {number_on(picture) for picture in after.values()} == {None}
    changed = sum(map(int.__ne__, after["console"].rgb, before["console"].rgb))
    assert changed < 2000  # the console's text is back; its cursor blinks
