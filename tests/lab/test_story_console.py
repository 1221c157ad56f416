"""Two cards, two seats, no card left: the host's console goes, and comes back unless confirmed.

And while the guests are off: what the host still hears of the seats' keyboards.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from phyllome_seat.lab.describe import parse_thing, read_description
from tests.lab.asking import SEAT_FILE, addresses, ask, controller, gpu, port, seats
from tests.lab.conftest import EXAMPLE

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
TIMER, SERVICE = "phyllome-seat-return.timer", "phyllome-seat-return.service"


@pytest.fixture(scope="module")
def small_pc(open_pc):
    with open_pc(read_description(HERE / "pcs/no-host-card.yaml")) as opened:
        yield opened


@pytest.fixture
def pc(small_pc):
    """The PC as it was when it was ready; each test changes it."""
    yield small_pc
    small_pc.restore()


def wish(pc, *, guest=False):
    """Return the seat file by which both cards go, and a port of the one controller each."""
    usb = pc.address("board-usb")
    left = gpu(pc.address("left")) | {"usb": [port(usb, "1")]}
    right = gpu(pc.address("right")) | {"usb": [port(usb, "2")]}
    return seats("none", left=left | ({"guest": {"domain": "left"}} if guest else {}), right=right)


def drivers(pc):
    lines = pc.run("lspci -k -d 1234:1111 | grep 'driver in use'").stdout.splitlines()
    return [line.split()[-1] for line in lines]


def remaining_s(pc):
    """Return how long the timer has still to go."""
    show = f"systemctl show {TIMER} -P"
    script = (
        f"{show} ActiveEnterTimestampMonotonic; {show} TimersMonotonic; cut -d. -f1 /proc/uptime"
    )
    started, timers, now = pc.run(script).stdout.splitlines()
    assert "OnActiveUSec=2min ;" in timers
    return int(started) / 1e6 + 120 - int(now)


def test_the_only_keyboard_on_the_only_controller_stays_and_other_ports_are_proposed(pc):
    usb, left, right = map(pc.address, ("board-usb", "left", "right"))
    pc.unplug("right-keyboard")
    pc.run("udevadm settle")
    files = {
        "controller": seats(left={"usb": [controller(usb)]}),
        "port": seats(left={"usb": [port(usb, "1")]}),
        "cards": seats(left=gpu(left), right=gpu(right)),
    }

    answers, changed = ask(pc, files)

    whole = answers["controller"].about("has the host's last keyboard, QEMU QEMU USB Keyboard")
    assert addresses(whole) == {usb}
    assert re.search(r"\(event\d+\)", whole)
    assert ": name ports of it (usb2: 2, 3 and 4), or name another, or give " in whole
    single = answers["port"].about(f"{usb}/usb2/1 cannot go to seat left: has the host's last ")
    assert "by `console: none`" in single
    assert addresses(answers["cards"].about("shows the host's console")) == {left}
    assert addresses(answers["cards"].about("is the last card that can show")) == {right}
    assert {answer.status for answer in answers.values()} == {1}
    assert changed == ""


def test_who_could_not_be_reached_any_more_has_to_say_yes(pc):
    pc.run("systemctl stop 'ssh*' 'serial-getty@*'")

    answers, changed = ask(pc, {"alone": wish(pc)})

    assert answers["alone"].status == 1
    answers["alone"].about("no SSH server and no serial login is up")
    assert "(start one (`systemctl start ssh`), or run this in a terminal and type yes)" in (
        answers["alone"].said
    )
    assert changed == ""

    pc.put(SEAT_FILE, wish(pc))
    terminal = f"python3 -c '{TERMINAL}' phyllome-seat apply"
    assert pc.run(f"(sleep 3; echo y) | {terminal}", check=False).status == 1
    assert drivers(pc) == ["bochs-drm", "bochs-drm"]
    said = pc.run(f"(sleep 3; echo yes) | {terminal}").stdout
    assert "you can reach it again in 120 s only" in said
    assert drivers(pc) == ["vfio-pci", "vfio-pci"]
    assert pc.run(f"systemctl is-active {TIMER}").stdout.strip() == "active"


@pytest.mark.soak  # takes minutes
def test_not_confirmed_all_is_given_back_with_a_guest_that_runs(pc):
    pc.put("/root/left.xml", (EXAMPLE.parent / "left.xml").read_text())
    pc.put("/root/compare.py", (HERE / "compare.py").read_bytes())
    pc.put(SEAT_FILE, wish(pc, guest=True))
    pc.run("virsh -q define /root/left.xml; python3 /root/compare.py look /root/before")
    pc.run("phyllome-seat apply; phyllome-seat start left", timeout_s=120)
    assert pc.run("virsh -q domstate left").stdout.strip() == "running"
    assert drivers(pc) == ["vfio-pci", "vfio-pci"]
    assert pc.run("ls /sys/class/graphics").stdout.split() == ["fbcon"]
    assert 60 < remaining_s(pc) <= 120

    pc.run(f"systemctl start {SERVICE}")  # as the timer will
    given_back(pc)
    assert lit(pc, "") * 10 < lit(pc, "the console is back " * 100)


def lit(pc, text):
    """Return how much of the left card's monitor is not black when the console shows a text."""
    pc.run(["sh", "-c", "printf '\\033[2J\\033[H%s' \"$0\" >/dev/tty1; sleep 1", text])
    picture = pc.picture("left").rgb
    return len(picture) - picture.count(0) + 1


def given_back(pc):
    """Wait until the timer's service has ended, and compare everything with before."""
    pc.wait(f"! systemctl -q is-active {SERVICE}", timeout_s=120)
    script = "cd /root; python3 compare.py look after; python3 compare.py diff before after"
    changed = pc.run(script).stdout.strip()
    assert changed == ""
    assert drivers(pc) == ["bochs-drm", "bochs-drm"]
    assert pc.run(f"systemctl is-active {TIMER}", check=False).stdout.strip() == "inactive"
    assert "nothing to do" in pc.run("phyllome-seat revert").stdout


@pytest.mark.soak
def test_not_confirmed_all_is_given_back_by_itself_after_two_minutes(pc):
    pc.put("/root/compare.py", (HERE / "compare.py").read_bytes())
    pc.put(SEAT_FILE, wish(pc))
    pc.run("python3 /root/compare.py look /root/before; phyllome-seat apply", timeout_s=120)
    pc.run("sleep 90", timeout_s=150)
    assert drivers(pc) == ["vfio-pci", "vfio-pci"]

    pc.wait(f"! systemctl -q is-active {TIMER}", timeout_s=60)
    given_back(pc)


# A terminal for a program, in which its answers are typed; script(1) is not on every Debian.
TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
# What a running desktop of the host hears: libinput on seat0, started before anything is applied.
LISTEN = (
    "systemd-run --quiet --unit=desktop --property=StandardOutput=file:/run/heard "
    "stdbuf -oL libinput debug-events --udev seat0"
)
NODE = "/dev/input/by-id/usb-QEMU_QEMU_USB_Keyboard_{}-event-kbd"
# All of the rules, and nothing of the rest: what udev knows before any card has left.
RULES_ALONE = """\
from pathlib import Path
from phyllome_seat import Sysfs, assign, parse_wish, plan, scan
from phyllome_seat.model.step import ReloadUdev, RemoveFile, WriteFile
from phyllome_seat.system.apply import apply
from phyllome_seat.system.state import State
host = scan(Sysfs("/"))
wish = parse_wish(Path("/etc/phyllome-seat/seats.yaml").read_text(), "seats.yaml")
steps = plan(assign(wish, host), host)
rules = tuple(step for step in steps if isinstance(step, (WriteFile, ReloadUdev, RemoveFile)))
apply(rules, Sysfs("/"), State("/"))
"""


class Desktop:
    """A session of the host, and who listens to its power keys."""

    def __init__(self, pc, keyboards=None):
        self.pc = pc
        # The key is heard all the same, and this PC stays on to say so.
        pc.run(f"systemctl mask --runtime poweroff.target; {LISTEN}")
        count = len(pc.plugged) if keyboards is None else keyboards
        self.wait_keyboards(count)

    def wait_keyboards(self, count):
        """Wait until so many keyboards have come, of all that did."""
        self.pc.wait(f"test $(grep -c DEVICE_ADDED.*Keyboard /run/heard) = {count}")

    def hears(self, *keyboards, power="", of_them=0):
        """Return whether so many keys are heard of those pressed: one on each keyboard."""
        before = self._pressed()
        for keyboard in keyboards:
            self.pc.press(keyboard, "a")
        if power:
            self.pc.press(power, "power")
        end = time.monotonic() + 15
        while self._pressed() - before < of_them and time.monotonic() < end:
            time.sleep(0.2)
        time.sleep(1)  # for what should not come
        return self._pressed() - before == of_them

    def _pressed(self):
        return len(re.findall("KEYBOARD_KEY .* pressed", self.log()))

    def log(self):
        return self.pc.get("/run/heard").decode()

    def power_keys(self):
        """Return how often logind said that a power key was pressed, all said being written."""
        self.pc.run("journalctl --sync")
        return self.pc.run("journalctl -b -u systemd-logind").stdout.count("Power key pressed")


def tags(pc, card):
    node = f"/dev/dri/by-path/pci-{pc.address(card)}-card"
    done = pc.run(f"udevadm info --query=property --property=CURRENT_TAGS --value {node}")
    return set(done.stdout.strip().strip(":").split(":"))


def console(pc, keyboard, text):
    """Return whether a text typed on a keyboard stands on the host's text console."""
    pc.type(keyboard, text)
    end = time.monotonic() + 15
    while text not in (shown := pc.get("/dev/vcs1").decode(errors="replace")):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return bool(shown)


def test_the_hosts_desktop_keeps_off_while_the_guests_are_off(pc):
    desktop = Desktop(pc)
    assert desktop.hears("left-keyboard", "right-keyboard", power="left-keyboard", of_them=3)
    assert desktop.power_keys() == 1
    assert {"seat", "master-of-seat", "uaccess"} <= tags(pc, "left") & tags(pc, "right")
    assert f"pci0000:00/{pc.address('board-usb')}" in pc.run("loginctl seat-status seat0").stdout
    assert "/drm/card" in pc.run("loginctl seat-status seat0").stdout
    pc.put(SEAT_FILE, wish(pc))

    pc.put("/root/rules.py", RULES_ALONE)
    pc.run("/opt/phyllome-seat/bin/python /root/rules.py")

    assert not {"seat", "master-of-seat", "uaccess"} & (tags(pc, "left") | tags(pc, "right"))
    assert "/drm/card" not in pc.run("loginctl seat-status seat0").stdout
    assert desktop.hears("left-keyboard", "right-keyboard", power="left-keyboard")
    assert desktop.power_keys() == 1

    pc.run("phyllome-seat apply; phyllome-seat confirm")
    assert pc.run(f"systemctl is-active {TIMER}", check=False).stdout.strip() == "inactive"
    assert "nothing to confirm" in pc.run("phyllome-seat confirm").stdout
    assert drivers(pc) == ["vfio-pci", "vfio-pci"]
    assert desktop.hears("left-keyboard", "right-keyboard", power="right-keyboard")
    assert desktop.power_keys() == 1
    # No desktop: the kernel's text console is as deaf to seats as udev's rules are to it.
    assert console(pc, "left-keyboard", "typed at left")

    # What is plugged in later is hidden from its first moment, and only in the seats' ports.
    where, thing = pc.unplug("left-keyboard")
    pc.unplug("right-keyboard")
    pc.plug(thing, where)
    third = '{id: third, kind: keyboard, port: "3", serial: "TK1", card: right}'
    pc.plug(parse_thing(third), "board-usb")
    pc.wait(f"test -e {NODE.format('LK1')} -a -e {NODE.format('TK1')}; udevadm settle")
    pc.wait("test $(grep -c DEVICE_ADDED.*Keyboard /run/heard) = 3")
    assert desktop.hears("left-keyboard", power="left-keyboard")
    assert desktop.hears("third", of_them=1)
    assert desktop.power_keys() == 1

    # And back: a desktop that ran all the time has its keyboard again.
    pc.run("phyllome-seat revert")
    assert desktop.hears("left-keyboard", power="left-keyboard", of_them=2)
    assert desktop.power_keys() == 2
    assert {"seat", "master-of-seat", "uaccess"} <= tags(pc, "left") & tags(pc, "right")
