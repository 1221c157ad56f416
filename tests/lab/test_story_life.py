"""Two seats' life: guests come and go, seats swap, the PC gets another disk."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace

import pytest

from phyllome_seat.lab.banner import recognise
from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import Disk
from tests.lab.conftest import EXAMPLE
from tests.lab.story import Story, demo

pytestmark = pytest.mark.lab

SEATS = (EXAMPLE.parent / "seats.yaml").read_text()
LEFT, RIGHT = "left", "right"
MACHINE_SAYS_NO = 1


class Life(Story):
    """A story whose guests are started more than once."""

    def __init__(self, pc):
        super().__init__(pc)
        self.boots = set()

    def start(self, *seats):
        """Starts guests one after the other, and waits until this boot of each is ready."""
        for seat in seats:
            self.command("start", seat)
            end = time.monotonic() + 120
            while not (log := self.log(seat)).ready or log.boot in self.boots:
                assert time.monotonic() < end, log
                time.sleep(0.5)
            self.boots.add(log.boot)

    def type_and_see(self, where=None):
        """Types on both keyboards at once; what was typed at a seat must be in guest `where`."""
        texts = demo.random_texts()
        there = {(where or {}).get(seat, seat): text for seat, text in texts.items()}
        self.type_on_both(texts)
        assert self.wait_typed(there) == there
        for seat, height in demo.HEIGHTS.items():
            assert self.moved((where or {}).get(seat, seat)) == {height}


@pytest.fixture(scope="module")
def fresh(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        yield pc


@pytest.fixture
def story(fresh):
    fresh.restore()
    story = Life(fresh)
    story.prepare()
    return story


@pytest.mark.soak  # guests start again and again, which takes minutes
def test_guests_start_and_stop_three_times_and_get_what_is_typed_each_time(story):
    story.command("apply")

    for _ in range(3):
        story.start(LEFT, RIGHT)
        story.type_and_see()
        stopped = story.command("stop")
        assert "seat left: guest left stopped" in stopped
        assert "seat right: guest right stopped" in stopped
        assert all(story.log(seat).bye for seat in (LEFT, RIGHT))

    assert len(story.boots) == 6
    assert "nothing to do" in story.command("plan")
    assert story.command("stop") == "nothing to do: no guest of these seats runs\n"


def test_what_the_host_sees_no_more_is_still_known_by_name_and_serial(story):
    seen = "cat /proc/bus/input/devices; cat /sys/bus/usb/devices/*/serial; ls /sys/class/drm"
    serials = ("LK1", "LT1", "RK1", "RT1")
    before = story.pc.run(seen).stdout
    assert all(f"Uniq={serial}" in before for serial in (*serials, "HK1"))
    cards = len(re.findall(r"^card\d+$", before, re.M))

    story.command("apply")

    now = story.pc.run(seen).stdout
    assert "Uniq=HK1" in now
    assert not any(serial in now for serial in serials)
    assert len(re.findall(r"^card\d+$", now, re.M)) == cards - 2

    picture = story.command("scan")
    for words in ("DELL U2720Q serial 8KTXF13", "LG ULTRAGEAR serial 104NTAB"):
        assert re.search(f"{words} .*\\(remembered\\)$", picture, re.M), picture
    for serial in serials:
        assert re.search(f" serial {serial}\\).*\\(remembered\\)$", picture, re.M), picture
    host = json.loads(story.command("scan", "--json"))
    remembered = {i["uniq"] for i in host["inputs"] if i.get("remembered")}
    assert remembered == set(serials)

    by_monitor = re.sub(r"^    gpu: .*\n", "", SEATS, flags=re.M)  # which card is it on?
    story.pc.put("/root/by-monitor.yaml", by_monitor)
    assert "nothing to do" in story.command("plan", "-f", "/root/by-monitor.yaml")
    status = story.command("status")
    for words in ("DELL U2720Q (serial 8KTXF13)", "LG ULTRAGEAR (serial 104NTAB)"):
        assert f" {words} (remembered)\n" in status, status
    for serial in serials:
        assert f"(serial {serial}) (remembered)" in status, status


@pytest.mark.soak  # guests start again and again, which takes minutes
def test_seats_swapped_in_the_file_swap_keys_and_pictures(story):
    story.command("apply")
    card, controller = (
        {"left": "0000:04:00.0", "right": "0000:05:00.0"},
        {"left": "0000:02:00.0", "right": "0000:03:00.0"},
    )
    swapped = SEATS
    for one, other in (
        card.values(),
        controller.values(),
        ('{name: "DELL U2720Q", serial: "8KTXF13"}', '{name: "LG ULTRAGEAR", serial: "104NTAB"}'),
    ):
        swapped = swapped.replace(one, "@").replace(other, one).replace("@", other)
    story.pc.put(demo.SEAT_FILE, swapped)

    plan = story.command("plan")
    for seat, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
        now = f"{card[other]} (gpu), {card[other][:-1]}1 (sound), {controller[other]} (usb)"
        assert f"edit guest {seat} for seat {seat}: with {now}\n" in plan, plan
    assert "bind 0000" not in plan  # all of it is bound already, and only changes hands
    story.command("apply")
    assert "nothing to do" in story.command("plan")

    story.start(LEFT, RIGHT)
    story.type_and_see({LEFT: RIGHT, RIGHT: LEFT})
    pictures = story.pictures()
    assert recognise(pictures[LEFT], demo.SEATS) == RIGHT
    assert recognise(pictures[RIGHT], demo.SEATS) == LEFT


@pytest.mark.soak  # as above
def test_a_guest_that_does_not_stop_is_said_in_time_and_forced_when_asked(story):
    left = (EXAMPLE.parent / "left.xml").read_text()
    stubborn = left.replace("phyllome.seat=left", "phyllome.seat=left phyllome.stubborn=1")
    assert stubborn != left
    story.pc.put("/root/left.xml", stubborn)
    story.pc.run("virsh -q undefine left; virsh -q define /root/left.xml")
    story.command("apply")
    story.start(LEFT)
    began = time.monotonic()

    done = story.pc.run("phyllome-seat stop left --timeout 5", check=False)

    assert 5 <= time.monotonic() - began < 25
    assert done.status == MACHINE_SAYS_NO
    assert "seat left: guest left did not stop within 5 s: " in done.stdout
    assert "use --force" in done.stdout
    assert story.pc.run("virsh -q domstate left").stdout.strip() == "running"

    forced = story.command("stop", "left", "--timeout", "1", "--force")

    assert forced == "seat left: guest left stopped\n"
    assert story.pc.run("virsh -q domstate left").stdout.strip() == "shut off"


def find_place(refusal, mark):
    """Returns the address at which a refusal says that the device with this mark is now."""
    return re.search(rf"([0-9a-f:]+\.[0-7]) with [^,]*{re.escape(mark)}", refusal)[1]


@pytest.mark.soak  # guests start again and again, which takes minutes
def test_a_disk_more_moves_the_cards_and_the_refusal_says_where_to(story):
    story.command("apply")
    pc = story.pc
    parts = (LEFT, RIGHT, "left-usb", "right-usb")
    before = {part: pc.address(part) for part in parts}

    pc.power_cycle(pc.description.with_disk(Disk("extra")))

    after = {part: pc.address(part) for part in parts}
    assert not any(before[part] == after[part] for part in parts)
    done = pc.run("phyllome-seat apply", check=False)
    assert done.status == MACHINE_SAYS_NO
    said = done.stderr
    assert f"{before[LEFT]} is not 1234:1111, " in said
    assert "(1b36:000d/1af4:1100) is there now" in said
    assert f"{before['left-usb']} is not 1b36:000d, " in said
    assert f"{before[RIGHT]} " in said  # left's card by now, of the same kind: its monitor tells
    assert "does not show monitor LG ULTRAGEAR (serial 104NTAB); it is on " + after[RIGHT] in said
    assert pc.run("cat /sys/bus/pci/devices/*/driver_override | sort -u").stdout == "(null)\n"

    marks = {LEFT: "8KTXF13", RIGHT: "104NTAB", "left-usb": "serial LK1", "right-usb": "serial RK1"}
    proposed = {part: find_place(said, mark) for part, mark in marks.items()}
    assert proposed == after
    corrected = re.sub(
        "|".join(before.values()),
        lambda old: proposed[next(part for part in parts if before[part] == old[0])],
        SEATS,
    )
    story.command("init", "--yes")
    assert pc.get(demo.SEAT_FILE).decode() == corrected
    story.command("apply")
    story.start(LEFT, RIGHT)
    story.type_and_see()


def pinned(cpus):
    """Returns the seat file whose right seat has these two CPUs of the host for its own."""
    text = SEATS.replace("        cpus: 1\n", f'        cpus: 2\n        pin: "{cpus}"\n')
    assert text != SEATS
    return text


def allowed(pc, guest):
    """Returns on which of the host's CPUs each thread of a guest's QEMU may run, by its name."""
    tasks = f"/proc/$(cat /run/libvirt/qemu/{guest}.pid)/task"
    each = "echo $(cat $task/comm)=$(sed -n 's/^Cpus_allowed_list:.//p' $task/status)"
    lines = pc.run(f"for task in {tasks}/*; do {each}; done").stdout.splitlines()
    return dict(line.split("=") for line in lines)


@pytest.mark.soak  # a PC of its own
def test_a_guests_cpus_run_where_the_seat_file_pins_them(open_pc):
    with open_pc(replace(read_description(EXAMPLE), cpus=4)) as pc:
        story = Life(pc)
        story.prepare(pinned("2-3"))
        story.command("apply")
        story.command("start", RIGHT)

        threads = allowed(pc, RIGHT)
        assert (threads["CPU 0/KVM"], threads["CPU 1/KVM"]) == ("2", "3"), threads
        assert threads["qemu-system-x86"] == "2-3", threads
        assert set(threads.values()) <= {"2", "3", "2-3"}, threads  # the kernel's own for it too

        story.command("stop", "--force", "--timeout", "1", RIGHT)
        pc.put(demo.SEAT_FILE, pinned("1,3"))
        assert "1,3" in story.command("plan")
        story.command("apply")
        story.start(RIGHT)

        threads = allowed(pc, RIGHT)
        assert (threads["CPU 0/KVM"], threads["CPU 1/KVM"]) == ("1", "3"), threads
        assert "nothing to do" in story.command("plan")
