"""Somebody uses what is to change hands: found before, named, waited for; never hung on."""

from __future__ import annotations

import json
import time

import pytest

from phyllome_seat.lab.describe import read_description
from tests.lab.conftest import EXAMPLE
from tests.lab.story import Story
from tests.lab.story_look import look

pytestmark = pytest.mark.lab

CARD, SOUND = "0000:04:00.0", "0000:04:00.1"  # of seat left
MACHINE_SAYS_NO = 1

# A program that has a node open, as a sound server has; with a second file named, it opens the
# node the moment that file is there. It says so in /run/held.
HOLD = """\
import os, signal, sys
while len(sys.argv) > 2 and not os.path.exists(sys.argv[2]):
    pass
node = os.open(sys.argv[1], os.O_RDWR)
open("/run/held", "w").close()
signal.pause()
"""


class Holders(Story):
    """A story in which somebody holds something."""

    def prepare(self, seat_file=None):
        super().prepare(seat_file)
        self.pc.put("/root/hold.py", HOLD)

    def control_node(self):
        """Returns the node that a sound server has open: the card's mixer."""
        path = f"ls -d /sys/bus/pci/devices/{SOUND}/sound/card*/controlC*"
        return "/dev/snd/" + self.pc.run(path).stdout.strip().rpartition("/")[2]

    def hold(self, node, once=""):
        """Has a program open a node, at once or once a file is there; returns who it is."""
        hold = f"rm -f /run/held; systemd-run -q --unit=hold python3 /root/hold.py {node} {once}"
        self.pc.run(hold)
        if not once:
            self.pc.wait("test -e /run/held")
        pid = self.pc.run("systemctl show --property=MainPID --value hold").stdout.strip()
        return f"pid {pid} (python3)"

    def let_go(self):
        """Ends that program."""
        self.pc.run("systemctl stop hold")

    def refused(self, *words):
        """Runs a command that must be refused; returns what it complained of."""
        done = self.pc.run(["phyllome-seat", *words], check=False, timeout_s=120)
        assert done.status == MACHINE_SAYS_NO, done
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def fresh(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        yield pc


@pytest.fixture
def story(fresh):
    fresh.restore()
    story = Holders(fresh)
    story.prepare()
    return story


def test_a_card_that_plays_sound_is_not_taken_and_nothing_is_written(story):
    holder = story.hold(story.control_node())
    before = look(story.pc)

    said = story.refused("apply")

    assert f"{SOUND} (" in said
    assert f" is in use by {holder}\n" in said
    assert "(end that program, " in said
    assert look(story.pc) == before
    assert story.pc.run("ls /var/lib/phyllome-seat", check=False).stdout == ""

    story.let_go()
    assert "done: " in story.command("apply")


def test_what_a_guest_or_a_program_has_is_not_taken_back_and_nothing_is_written(story):
    story.command("apply")
    group = story.pc.run(f"basename $(readlink /sys/bus/pci/devices/{CARD}/iommu_group)").stdout
    holder = story.hold(f"/dev/vfio/{group.strip()}")
    before = look(story.pc)

    said = story.refused("revert")

    assert f"{CARD} (" in said
    assert f" is in use by {holder}\n" in said
    assert look(story.pc) == before

    story.let_go()
    story.command("start", "left")
    before = look(story.pc)

    said = story.refused("revert")

    assert f"guest left is running and has 0000:02:00.0, {CARD}, {SOUND}: stop it first" in said
    assert "by `phyllome-seat stop left`" in said
    assert look(story.pc) == before

    story.wait_ready("left")
    said = story.command("revert", "--unattended")
    assert "guest left stopped" in said
    assert "done: " in said
    assert story.command("revert") == "nothing to do: no seat is set up here\n"


def test_a_card_taken_hold_of_at_the_last_moment_is_waited_for_by_the_kernel_alone(story):
    holder = story.hold(story.control_node(), once=f"/run/phyllome-seat/before/{SOUND}")
    pending = f"{SOUND}: unbind from snd_hda_intel pending (held by {holder})"
    began = time.monotonic()

    said = story.refused("apply")

    assert time.monotonic() - began < 60
    assert pending in said
    assert pending in story.command("status")
    (entry,) = json.loads(story.command("status", "--json"))["pending"]
    assert (entry["address"], entry["holders"]) == (SOUND, [holder])

    said = story.refused("apply")  # no step is begun while the kernel waits

    assert pending in said
    assert pending in story.refused("revert")

    story.let_go()
    assert "done: " in story.command("apply")
    assert "nothing to do" in story.command("plan")
    assert json.loads(story.command("status", "--json"))["pending"] == []
    drivers = story.pc.run(f"readlink /sys/bus/pci/devices/{CARD[:-1]}?/driver").stdout
    assert [line.rpartition("/")[2] for line in drivers.split()] == ["vfio-pci", "vfio-pci"]
