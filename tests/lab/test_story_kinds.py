"""`init` on each kind of machine: `apply` takes what it writes, the guests run, keys arrive."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.errors import CommandError
from phyllome_seat.lab.guestlog import typed_text
from phyllome_seat.model.seat_file import parse_wish
from tests.lab.story import Story, demo

pytestmark = [pytest.mark.lab, pytest.mark.soak]  # minutes

PCS = Path(__file__).parent / "pcs"
LEFT_XML = (demo.HERE / "left.xml").read_text()


class Kind:
    """A PC of one kind, whose people say to `init` only where they sit."""

    def __init__(self, pc):
        self.pc = pc
        self.story = Story(pc)

    def replug(self, *keyboards):
        """Plugs keyboards in anew that go to a guest by their port: docs/lab.md, Traps."""
        for keyboard in keyboards:
            controller, thing = self.pc.unplug(keyboard)
            self.pc.plug(thing, controller)
            self.pc.wait(f"grep -qsx {thing.serial} /sys/bus/usb/devices/*/serial")
        self.pc.run("udevadm settle")

    def place(self, controller, chain):
        """Returns a USB place as `identify` says it."""
        return f"{self.pc.address(controller)}/usb2/{chain}"

    def set_up(self, seats, *options):
        """Has `init` write the seat file from a keyboard, and a monitor if any, for each seat."""
        words = ["init", "--yes", "--seats", ",".join(seats), *options]
        for seat, answers in seats.items():
            domain = LEFT_XML.replace("<name>left<", f"<name>{seat}<")
            domain = domain.replace("/left-serial", f"/{seat}-serial").replace(
                "=left<", f"={seat}<"
            )
            self.pc.put(f"/root/{seat}.xml", domain)
            self.pc.run(f"virsh -q define /root/{seat}.xml")
            for key, value in {**answers, "guest": seat}.items():
                words += ["--seat", f"{seat}:{key}={value}"]
        self.story.command(*words)
        return parse_wish(self.pc.get(demo.SEAT_FILE).decode())

    def wait_awake(self, seat, keyboard, timeout_s=120):
        """Presses shift, which types nothing, until the guest's kernel has found the keyboard."""
        end = time.monotonic() + timeout_s
        while not any(event.code == "KEY_LEFTSHIFT" for event in self.story.log(seat).events):
            assert time.monotonic() < end, self.story.log(seat)
            self.pc.press(keyboard, "shift")
            time.sleep(0.5)

    def count(self, words):
        return self.pc.get(demo.SEAT_FILE).decode().count(words)

    def work(self, keyboards):
        """Applies, starts all guests, and types on each keyboard; then gives all back."""
        self.story.command("apply", timeout_s=240)
        if self.count("console: none"):
            self.story.command("confirm")
        assert "nothing to do" in self.story.command("plan")
        self.story.command("start", timeout_s=300)
        for seat in keyboards:
            assert self.story.wait_ready(seat, timeout_s=240).seat == seat
        for seat, keyboard in keyboards.items():
            self.wait_awake(seat, keyboard)
        texts = {seat: f"{seat}types{number}" for number, seat in enumerate(keyboards)}
        self.pc.type_at_once({keyboards[seat]: text for seat, text in texts.items()})
        end = time.monotonic() + 60
        while (got := {s: typed_text(self.story.log(s)) for s in keyboards}) != texts:
            assert time.monotonic() < end, got
            time.sleep(0.5)
        self.story.command("stop", "--force", "--timeout", "1")
        self.story.command("revert", timeout_s=240)


def test_two_cards_and_none_for_the_host(open_pc):
    with open_pc(read_description(PCS / "no-host-card.yaml")) as pc:
        kind = Kind(pc)
        kind.replug("left-keyboard", "right-keyboard")
        seats = {
            "left": {"keyboard": kind.place("board-usb", 1), "monitor": "L1"},
            "right": {"keyboard": kind.place("board-usb", 2), "monitor": "R1"},
        }

        wish = kind.set_up(seats, "--console", "none")

        assert {str(seat.gpu.address) for seat in wish.seats} == {
            pc.address("left"),
            pc.address("right"),
        }
        kind.work({"left": "left-keyboard", "right": "right-keyboard"})


def test_one_card_and_one_controller_are_a_seat_without_a_card(open_pc):
    with open_pc(read_description(PCS / "one-card.yaml")) as pc:
        kind = Kind(pc)
        seats = {"only": {"keyboard": kind.place("board-usb", 1), "monitor": "none"}}

        with pytest.raises(CommandError, match="has the host's last keyboard"):
            kind.set_up(seats)
        pc.run("virsh -q undefine only")
        assert pc.run(f"test -e {demo.SEAT_FILE}", check=False).status == 1
        wish = kind.set_up(seats, "--console", "none")

        assert wish.seats[0].gpu is None
        # with the console given up nothing of the host's is on the controller any more
        assert (kind.count("controller: {pci:"), kind.count("port: {")) == (1, 0)
        kind.work({"only": "only-keyboard"})


def test_three_seats_of_which_one_has_ports_of_the_hosts_controller(open_pc):
    with open_pc(read_description(PCS / "three-seats.yaml")) as pc:
        kind = Kind(pc)
        kind.replug("middle-keyboard")
        seats = {
            "left": {"keyboard": kind.place("left-usb", 1), "monitor": "L1"},
            "middle": {"keyboard": kind.place("board-usb", 2), "monitor": "M1"},
            "right": {"keyboard": kind.place("right-usb", 1), "monitor": "R1"},
        }

        kind.set_up(seats)

        assert (kind.count("controller: {pci:"), kind.count("port: {")) == (2, 1)
        kind.work({seat: f"{seat}-keyboard" for seat in seats})


def test_crowded_groups_leave_the_cards_that_may_go_alone(open_pc):
    with open_pc(read_description(PCS / "groups.yaml")) as pc:
        kind = Kind(pc)
        seats = {"left": {"keyboard": kind.place("hub-usb", "2.1")}}

        wish = kind.set_up(seats)

        shared = {pc.address(part) for part in ("joined", "joined-too", "joined-usb")}
        assert str(wish.seats[0].gpu.address) not in shared
        kind.work({"left": "hub-keyboard"})


def test_one_card_beside_an_integrated_one(open_pc):
    with open_pc(read_description(PCS / "integrated.yaml")) as pc:
        kind = Kind(pc)
        seats = {"left": {"keyboard": kind.place("left-usb", 1), "monitor": "L1"}}

        wish = kind.set_up(seats)

        assert str(wish.seats[0].gpu.address) == pc.address("left")
        kind.work({"left": "left-keyboard"})
