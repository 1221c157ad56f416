"""Odd USB devices follow their seat by the service: a gamepad, one that changes its id while it is
attached, a SuperSpeed one, one that resets itself over and over.

They are models of our own, served to QEMU's `usb-redir`, since QEMU has none of them.
"""

from __future__ import annotations

import time

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import UsbKind, UsbThing
from tests.lab.conftest import EXAMPLE
from tests.lab.test_story_watch import OF_THE_EXAMPLE, SOCKETS, Desk, seat_file

# For their length: each held (docs/soak.md).
pytestmark = [pytest.mark.lab, pytest.mark.soak]


class OddDesk(Desk):
    """What is odd is plugged into seat left's socket, which the seat file names by `usb2`."""

    def plug_odd(self, kind):
        thing = UsbThing(f"odd-{kind}", kind, SOCKETS["left"])
        self.pc.plug(thing, "host-usb")
        self.in_socket["left"] = thing
        return self.pc.device(thing.id)

    def facts(self):
        """Returns vendor, product and speed of what is in the socket, by its kernel."""
        device = f"/sys/bus/pci/devices/*/usb*/*-{SOCKETS['left']}"
        files = f"{device}/idVendor {device}/idProduct {device}/speed"
        return self.pc.run(f"cat {files}", check=False).stdout.split()

    def wait_facts(self, *facts, timeout_s=30):
        """Waits until the kernel sees this vendor, product and so on, and no longer the last."""
        end = time.monotonic() + timeout_s
        while self.facts()[: len(facts)] != list(facts):
            assert time.monotonic() < end, f"{self.facts()}\n{self.journal()}"
            time.sleep(0.3)

    def wait_input(self, uniq, timeout_s=30):
        end = time.monotonic() + timeout_s
        while not [each for each in self.log("left").inputs if each.uniq == uniq]:
            assert time.monotonic() < end, f"{self.log('left')}\n{self.journal()}"
            time.sleep(0.3)


@pytest.fixture(scope="module")
def odd(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        for thing in OF_THE_EXAMPLE:
            pc.unplug(thing)
        desk = OddDesk(pc)
        desk.prepare(seat_file())
        desk.command("apply")
        desk.command("watch", "--install")
        pc.run("virsh -q start left")
        desk.wait_ready("left")
        yield desk


def test_a_gamepads_button_arrives_in_the_guest_of_its_socket(odd):
    odd.plug_odd(UsbKind.GAMEPAD)
    odd.wait_right()
    odd.wait_input("PAD1")
    odd.pc.press("odd-gamepad", "south")
    end = time.monotonic() + 30
    while ("BTN_SOUTH", 1) not in [(e.code, e.value) for e in odd.log("left").events]:
        assert time.monotonic() < end, odd.log("left")
        time.sleep(0.3)
    odd.pull("left")
    odd.wait_right()


def test_a_device_that_changes_its_id_in_use_is_detached_and_attached_as_what_it_is(odd):
    device = odd.plug_odd(UsbKind.CHANGING)
    odd.wait_right()
    assert odd.facts()[:2] == ["1209", "0002"]
    device.change()
    odd.wait_facts("1209", "0003")
    odd.wait_right()
    odd.pull("left")
    odd.wait_right()


def test_a_superspeed_device_is_in_the_socket_that_its_usb2_number_names(odd):
    odd.plug_odd(UsbKind.SUPERSPEED)
    odd.wait_right()
    assert odd.facts() == ["1209", "0005", "5000"]
    odd.pull("left")
    odd.wait_right()


def test_a_device_that_resets_itself_over_and_over_is_given_up_and_said_so(odd):
    time.sleep(6)  # what was in this socket before was another: out for longer than 5 s
    device = odd.plug_odd(UsbKind.RESETTING)
    odd.wait_right()
    device.reset_loop(12, every_s=0.8)
    odd.wait_said("comes and goes over and over", timeout_s=90)
    end = time.monotonic() + 40
    while device.connects < 13:
        assert time.monotonic() < end, f"reset {device.connects - 1} times\n{odd.journal()}"
        time.sleep(0.3)
    time.sleep(4)
    assert odd.look()[0]["left"] == ([], []), odd.journal()
    assert odd.journal().count("comes and goes over and over") == 1, odd.journal()

    # A hand: out for more than 5 s, and it is as new.
    odd.pull("left")
    time.sleep(6)
    odd.plug_odd(UsbKind.RESETTING)
    odd.wait_right()
