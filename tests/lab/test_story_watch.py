"""USB that follows its seat by itself: the service, real plugs, real guests.

What plain libvirt does without it, and the commands by hand, are in the story of lending.
"""

from __future__ import annotations

import random
import re
import time
from contextlib import contextmanager

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import UsbKind, UsbThing
from phyllome_seat.lab.guestlog import typed_text
from tests.lab.conftest import EXAMPLE
from tests.lab.story import AT_ONCE, Story, demo

pytestmark = pytest.mark.lab

OF_THE_EXAMPLE = ("left-keyboard", "left-tablet", "right-keyboard", "right-tablet")
HOST_USB = "0000:00:08.0"
SOCKETS = {"left": "2", "right": "3"}
SERVICE = "phyllome-seat-watch"
HOSTILE = "\"';$(id)`<x>&*%p"
# A watch with a buffer for a dozen events.
STORM = """\
from phyllome_seat import Watch
import asyncio
async def run():
    async for event in Watch(buffer_bytes=4096):
        print(event, flush=True)
asyncio.run(run())
"""
# A thousand events of the host's keyboard, spread over the plugs of hands.
EVENTS = """\
device=$(echo /sys/bus/pci/devices/HOST_USB/usb*/*-1)
for n in $(seq 500); do
  for what in remove add; do echo $what > $device/uevent; done
  echo $((2 * n)) > /run/events
  sleep 0.02
done
"""
# What udev knows of a device by where it is plugged in, when, and under which number.
BY_PLACE = (
    *("DEVPATH=", "DEVNAME=", "DEVNUM=", "BUSNUM=", "MINOR=", "ID_PATH", "ID_FOR_SEAT="),
    *("ID_SEAT=", "TAGS=", "CURRENT_TAGS=", "USEC_INITIALIZED=", "PHYLLOME_SEAT"),
)
LOOK = """\
for name in left right; do
  echo "guest $name $(virsh domstate $name)"
  virsh dumpxml $name | grep -o "<address bus='[0-9]*' device='[0-9]*'/>"
  virsh qemu-monitor-command $name --hmp info usb 2>/dev/null | grep "ID: ua-"
done
for device in /sys/bus/pci/devices/HOST_USB/usb*/[0-9]*-[0-9]*/devnum; do
  [ -e $device ] && echo "host $(basename $(dirname $device)) $(cat $device)"
done
true
"""


def seat_file(sockets=SOCKETS):
    """Returns the example's seat file with one socket of the host's controller for each seat."""
    text = (EXAMPLE.parent / "seats.yaml").read_text()
    ports = iter(sockets.values())
    where = f'controller: "{HOST_USB}", id: "1b36:000d"'
    return re.sub(
        r"      - controller: .*\n",
        lambda _: f'      - port: {{{where}, usb2: "{next(ports)}"}}\n',
        text,
    )


class Desk(Story):
    """What hands do at this PC, and how it is now."""

    def __init__(self, pc):
        super().__init__(pc)
        self.in_socket, self.typed, self.serial = {}, {}, "SAME"
        self._count, self._boots = 0, {}

    def plug(self, seat, kind=UsbKind.KEYBOARD):
        """Plugs something into a seat's socket; nothing but its place tells it from others."""
        self._count += 1
        thing = UsbThing(f"t{self._count}", kind, SOCKETS[seat], serial=self.serial, card=seat)
        self.pc.plug(thing, "host-usb")
        self.in_socket[seat] = thing
        return thing

    def pull(self, seat):
        self.pc.unplug(self.in_socket.pop(seat).id)

    def look(self):
        """Returns, for each guest that runs, the device numbers in its XML and its devices in
        QEMU; and the number of what is in each socket.
        """
        self.pc.put("/root/look.sh", LOOK.replace("HOST_USB", HOST_USB))
        guests, numbers, name = {}, {}, None
        for line in self.pc.run("sh /root/look.sh").stdout.splitlines():
            if found := re.match(r"guest (\w+) (.*)", line):
                name = found[1] if found[2] in ("running", "paused") else None
                if name:
                    guests[name] = ([], [])
            elif found := re.match(r"host \d+-([\d.]+) (\d+)", line):
                numbers[found[1]] = int(found[2])
            elif name and "ID: ua-" in line:
                guests[name][1].append(line)
            elif name and (found := re.search(r"device='(\d+)'", line)):
                guests[name][0].append(int(found[1]))
        return guests, numbers

    def is_right(self):
        guests, numbers = self.look()
        for name, (entries, in_qemu) in guests.items():
            number = numbers.get(SOCKETS[name])
            wanted = [number] if name in self.in_socket else []
            if entries != wanted or len(in_qemu) != len(wanted):
                return False
        return all((SOCKETS[seat] in numbers) for seat in self.in_socket)

    def wait_right(self, timeout_s=90):
        """Waits until each guest has what is in its socket, once, and nothing else."""
        end = time.monotonic() + timeout_s
        while not self.is_right():
            assert time.monotonic() < end, f"{self.look()}\n{self.journal()}"
            time.sleep(0.3)

    def wait_entries(self, seat, count, timeout_s=120):
        """Waits until a guest has so many devices, in its XML and in QEMU."""
        end = time.monotonic() + timeout_s
        while [len(found) for found in self.look()[0][seat]] != [count, count]:
            assert time.monotonic() < end, f"{self.look()}\n{self.journal()}"
            time.sleep(0.3)

    def journal(self):
        return self.pc.run(f"journalctl -u {SERVICE} -o cat --no-pager | tail -60").stdout

    def all_said(self):
        """Returns what service, kernel and guests said last."""
        logs = " ".join(f"/var/log/libvirt/qemu/{seat}-serial.log" for seat in SOCKETS)
        rest = self.pc.run(f"dmesg | tail -20; tail -n 30 {logs}").stdout
        return f"{self.journal()}\n{rest}"

    def count_said(self, words):
        """Returns how often the service has said something, a pattern of grep's."""
        said = self.pc.run(f"journalctl -u {SERVICE} -o cat --no-pager | grep -c '{words}'; true")
        return int(said.stdout)

    def wait_said(self, words, count=1, timeout_s=120):
        end = time.monotonic() + timeout_s
        while self.count_said(words) < count:
            assert time.monotonic() < end, f"not said: {words}\n{self.journal()}"
            time.sleep(0.3)

    def wait_let_go(self, timeout_s=120):
        """Waits until nobody is connected to libvirt, which asks its clients all the time."""
        ours = "ss -xpH state connected | grep -E 'libvirt/(libvirt|virtqemud)-sock '; true"
        end = time.monotonic() + timeout_s
        while connected := self.pc.run(ours).stdout:
            assert time.monotonic() < end, f"{connected}\n{self.threads()}\n{self.journal()}"
            time.sleep(0.5)

    def threads(self):
        """Returns where in the kernel each thread of the service is."""
        tasks = f"/proc/$(systemctl show -P MainPID {SERVICE})/task/*"
        each = "echo $task $(cat $task/comm $task/wchan) $(ls $task/../../fd | wc -l)"
        return self.pc.run(f"for task in {tasks}; do {each}; done").stdout

    @contextmanager
    def not_opened_by_a_guest(self, seat):
        """Has no guest be able to open what is plugged into a seat's socket meanwhile."""
        # QEMU opens the node as a user of its own, in a /dev that has the host's modes.
        rule = f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", KERNEL=="*-{SOCKETS[seat]}"'
        self.pc.put("/etc/udev/rules.d/99-lab.rules", f'{rule}, MODE="0000"\n')
        self.pc.run("udevadm control --reload")
        yield
        node = f"/sys/bus/pci/devices/{HOST_USB}/usb*/[0-9]*-{SOCKETS[seat]}"
        self.pc.run("rm /etc/udev/rules.d/99-lab.rules; udevadm control --reload")
        self.pc.run(f"chmod 664 /dev/$(udevadm info -q name {node})")

    def fill(self):
        """Plugs something into each seat's socket that is empty."""
        for seat in SOCKETS:
            if seat not in self.in_socket:
                self.plug(seat)
        self.wait_right()

    def start(self, seat):
        """Starts a guest as anybody may, not by our command."""
        self._begin(seat, "start")

    def reset(self, seat):
        self._begin(seat, "reset")

    def reboot(self, seat):
        """Has a guest's own kernel restart it, by the keys that tell it to."""
        self._begin(seat, "send-key", "KEY_LEFTCTRL KEY_LEFTALT KEY_DELETE")

    def _begin(self, seat, how, more=""):
        self._boots[seat] = self.log(seat).boot
        self.pc.run(f"virsh -q {how} {seat} {more}", timeout_s=180)
        self.typed[seat] = ""

    def wait_ready(self, seat, timeout_s=120):
        """Waits until the guest is ready that was begun last: its log has the one before too."""
        end = time.monotonic() + timeout_s
        while self.log(seat).boot == self._boots.get(seat, ""):
            assert time.monotonic() < end, f"{seat} does not start"
            time.sleep(0.5)
        return super().wait_ready(seat, timeout_s)

    def set_to_work(self):
        """Has the service and both guests run, whatever was done before."""
        self.command("watch", "--install")
        for seat in SOCKETS:
            if seat not in self.typed:
                self.start(seat)
        for seat in SOCKETS:
            self.wait_ready(seat)

    def destroy(self, seat):
        self.pc.run(f"virsh -q destroy {seat}")
        del self.typed[seat]

    def type_everywhere(self):
        """Types on each keyboard whose guest runs; each guest must get its own, and nothing else
        it has got since its start.
        """
        for seat in self.typed:
            self.wait_ready(seat)
            self.wait_awake(seat)
        texts = demo.random_texts()
        texts = {seat: texts[seat] for seat in self.typed if seat in self.in_socket}
        for start in range(0, max(map(len, texts.values()), default=0), AT_ONCE):
            parts = {seat: text[start : start + AT_ONCE] for seat, text in texts.items()}
            self.pc.type_at_once({self.in_socket[seat].id: part for seat, part in parts.items()})
            for seat, part in parts.items():
                self.typed[seat] += part
            self.wait_arrived()
        time.sleep(1)  # what should not arrive may still
        assert {seat: typed_text(self.log(seat)) for seat in self.typed} == self.typed, (
            self.all_said()
        )

    def wait_arrived(self, timeout_s=60):
        """Waits until as much as was typed is in each guest."""
        end = time.monotonic() + timeout_s
        while any(len(typed_text(self.log(seat))) < len(t) for seat, t in self.typed.items()):
            if time.monotonic() > end:
                return
            time.sleep(0.3)

    def wait_awake(self, seat, timeout_s=90):
        """Waits until the guest's own kernel has found what is in its socket, and nothing else.

        Counted alone, a keyboard that it has yet to miss passes for the one it has yet to find: so
        shift is pressed, which types nothing, until it arrives.
        """
        end = time.monotonic() + timeout_s
        is_awake, pressed = seat not in self.in_socket, 0
        while True:
            before, log = self.shifts(seat), self.log(seat)
            found = sum(one.id == "0627:0001" for one in log.inputs) - len(log.gone)
            if is_awake and found == (seat in self.in_socket):
                break
            assert time.monotonic() < end, f"{seat} has {found} keyboards\n{self.journal()}"
            if not is_awake:
                self.pc.press(self.in_socket[seat].id, "shift")
                pressed += 1
            time.sleep(0.3)
            is_awake = is_awake or self.shifts(seat) > before
        # Eight strokes fill QEMU's keyboard (QUEUE_LENGTH, hw/input/hid.c): where shifts are still
        # in it, the last of what is typed next are lost.
        arrived = -1
        while pressed > 1 and (now := self.shifts(seat)) > arrived:
            arrived = now
            time.sleep(1)

    def shifts(self, seat):
        return sum(event.code == "KEY_LEFTSHIFT" for event in self.log(seat).events)

    def properties(self, seat):
        """Returns what udev knows of what is in a socket, without what tells the socket."""
        path = f"/sys/bus/pci/devices/{HOST_USB}/usb*/[0-9]*-{SOCKETS[seat]}"
        lines = self.pc.run(f"udevadm info -q property -p $(echo {path})").stdout.splitlines()
        return {line for line in lines if not line.startswith(BY_PLACE)}


@pytest.fixture(scope="module")
def desk(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        for thing in OF_THE_EXAMPLE:
            pc.unplug(thing)
        desk = Desk(pc)
        desk.prepare(seat_file())
        desk.command("apply")
        yield desk


@pytest.fixture
def at_work(desk):
    desk.set_to_work()


def test_installed_it_is_a_service_that_anyone_else_is_refused(desk):
    refused = desk.pc.run("setpriv --reuid 65534 phyllome-seat watch", check=False)
    assert refused.status == 1 and "only root may" in refused.stderr

    assert "installed and started" in desk.command("watch", "--install")
    assert "is there and runs" in desk.command("watch", "--install")

    verified = desk.pc.run(f"systemd-analyze verify {SERVICE}.service", check=False)
    assert SERVICE not in verified.stderr + verified.stdout, verified


def test_what_is_plugged_in_before_and_during_a_guests_start_gets_there(desk):
    desk.plug("left")
    desk.pc.run("virsh -q start left && virsh -q start right", timeout_s=240)
    desk.typed = {"left": "", "right": ""}
    desk.plug("right")  # while it boots
    for seat in SOCKETS:
        desk.wait_ready(seat)
    desk.wait_right()
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize(
    ("serial", "moves"),
    (
        ("SAME", 40),
        pytest.param("", 10, marks=pytest.mark.soak),  # for its length
        pytest.param("SAME", 200, marks=pytest.mark.soak),
    ),
)
def test_twins_that_only_their_place_tells_apart_are_never_mixed_up(desk, serial, moves):
    for seat in list(desk.in_socket):
        desk.pull(seat)
    desk.serial = serial
    desk.fill()
    assert desk.properties("left") == desk.properties("right")
    has_serial = any(line.startswith("ID_SERIAL_SHORT=") for line in desk.properties("left"))
    assert has_serial == bool(serial)

    chance = random.Random(moves)
    for move in range(1, moves + 1):
        off = [seat for seat in SOCKETS if seat not in desk.typed]
        if move % 40 == 17:
            desk.destroy(chance.choice(tuple(SOCKETS)))
        if move % 40 == 22:
            desk.start(off[0])
        match chance.choice(("plug", "plug", "plug", "swap")):
            case "swap":
                for seat in list(desk.in_socket):
                    desk.pull(seat)
                for seat in SOCKETS:
                    desk.plug(seat)
            case "plug":
                seat = chance.choice(tuple(SOCKETS))
                (desk.pull if seat in desk.in_socket else desk.plug)(seat)
        if move % 5 == 0:
            desk.wait_right()
        if move % 10 == 0:
            desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
def test_libvirt_is_let_go_while_nothing_happens_and_nothing_is_missed(desk):
    desk.fill()
    desk.wait_let_go()
    desk.pull("left")
    refused = "attach .* to guest left .* Permission denied: again in 1 s"
    before = desk.count_said(refused)
    with desk.not_opened_by_a_guest("left"):  # an error may keep a connection that is let go
        desk.plug("left")
        desk.wait_said(refused, before + 1)
    desk.wait_right()
    desk.wait_let_go()
    is_off = "guest left of seat left is shut off"
    before = desk.count_said(is_off)
    desk.destroy("left")
    desk.wait_said(is_off, before + 1)
    desk.start("left")
    desk.wait_ready("left")
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length: it held
def test_a_paused_and_a_rebooting_guest_keep_what_they_have(desk):
    desk.fill()
    desk.pc.run("virsh -q suspend left")
    desk.pull("left")
    desk.plug("left")
    desk.wait_right()
    desk.pc.run("virsh -q resume left")
    desk.reset("right")
    desk.wait_right()
    desk.type_everywhere()
    desk.reboot("left")
    desk.wait_right()
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length: it held
@pytest.mark.parametrize("how", ("restart", "kill", "stop"))
def test_a_libvirt_that_goes_and_comes_back_is_asked_again(desk, how):
    desk.fill()
    daemon = desk.pc.run(
        "systemctl is-active -q virtqemud.socket && echo virtqemud || echo libvirtd"
    ).stdout.strip()
    match how:
        case "restart":
            desk.pc.run(f"systemctl restart {daemon}")
        case "kill":
            # not what else is in its group, where guests are without systemd-machined
            desk.pc.run(f"systemctl kill -s KILL --kill-whom=main {daemon}")
        case "stop":
            desk.pc.run(f"systemctl stop {daemon}.service {daemon}*.socket")
    desk.pull("left")
    desk.plug("left")
    if how == "stop":
        time.sleep(60)
        desk.pc.run(f"systemctl start {daemon}.socket")
    desk.wait_right()
    assert set(desk.look()[0]) == set(SOCKETS), desk.all_said()  # both guests run
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length: it held
def test_a_guest_that_hangs_delays_no_other(desk):
    desk.fill()
    to_left = "attach .* to guest left .*done in"
    before, of_right = desk.count_said(to_left), desk.count_said("guest right")
    qemu = "$(cat /run/libvirt/qemu/right.pid)"
    desk.pc.run(f"kill -STOP {qemu}")
    try:
        desk.pull("right")
        desk.plug("right")
        time.sleep(3)  # a call to it is under way, and left behind after 30 s
        desk.pull("left")
        desk.plug("left")
        desk.wait_said(to_left, before + 1)
        assert desk.count_said("guest right") == of_right, desk.journal()
    finally:
        desk.pc.run(f"kill -CONT {qemu}")
    desk.wait_right(90)
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length: it held
def test_a_killed_service_comes_back_and_finds_what_happened_meanwhile(desk):
    desk.fill()
    desk.pc.run(f"systemctl kill -s KILL {SERVICE}")
    for seat in SOCKETS:
        desk.pull(seat)
    desk.plug("right")
    desk.wait_right()
    desk.plug("left")
    desk.wait_right()
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length
def test_a_service_that_is_killed_at_any_point_of_a_plug_ends_right(desk):
    desk.fill()
    for after_s in (0.0, 0.3, 0.6, 1.0, 1.5, 2.5):  # from the plug to the guest having it: 1.4 s
        for seat in SOCKETS:
            desk.pull(seat)
            desk.plug(seat)
        time.sleep(after_s)
        desk.pc.run(f"systemctl kill -s KILL {SERVICE}")
        desk.wait_right()
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length: it held
def test_a_hub_with_four_devices_goes_and_comes_at_once(desk):
    desk.fill()
    desk.pull("right")
    hub = UsbThing("hub", UsbKind.HUB, SOCKETS["right"])
    desk.pc.plug(hub, "host-usb")
    behind = [
        UsbThing(f"behind{n}", UsbKind.KEYBOARD, f"{SOCKETS['right']}.{n}", serial=serial)
        for n, serial in enumerate(("SAME", HOSTILE, None, "SAME"), 1)
    ]
    for thing in behind:
        desk.pc.plug(thing, "host-usb")
    desk.wait_entries("right", 4)
    assert "hub" not in desk.pc.run("virsh qemu-monitor-command right --hmp info usb").stdout
    desk.pc.unplug("hub")
    for thing in behind:
        del desk.pc.plugged[thing.id]  # QEMU takes out what is behind a hub with it
    desk.wait_entries("right", 0)
    assert "uid=0(root)" not in desk.all_said()  # nobody ran the `id` of a serial number
    desk.plug("right")
    desk.wait_right()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length: it held
def test_what_the_guest_may_not_open_is_tried_again_and_the_rest_goes_on(desk):
    desk.fill()
    desk.pull("left")
    with desk.not_opened_by_a_guest("left"):
        desk.plug("left")
        desk.wait_said("attach .* to guest left .* Permission denied: again in 4 s", timeout_s=120)

        desk.pull("right")
        desk.plug("right")
        desk.wait_entries("right", 1)
        assert desk.look()[0]["left"] == ([], []), desk.journal()

    desk.wait_right()  # the tries are 1, 4, 15 and 60 s apart
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length: it held
def test_a_guest_without_a_free_port_gets_the_device_when_there_is_one(desk):
    desk.fill()
    desk.pull("left")
    desk.wait_right()
    desk.pc.put("/root/mouse.xml", "<input type='mouse' bus='usb'/>")
    fill = "n=0; while virsh -q attach-device left /root/mouse.xml; do n=$((n+1)); done; echo $n"
    count = int(desk.pc.run(fill, timeout_s=120).stdout)
    assert count >= 15
    desk.plug("left")
    desk.wait_said("finds no free USB port in guest left")

    desk.pull("right")
    desk.plug("right")
    desk.wait_entries("right", 1)
    assert desk.look()[0]["left"] == ([], []), desk.journal()

    desk.pc.run("virsh -q detach-device left /root/mouse.xml")
    desk.wait_entries("left", 1)
    desk.pc.run(f"for n in $(seq 2 {count}); do virsh -q detach-device left /root/mouse.xml; done")
    desk.type_everywhere()


@pytest.mark.usefixtures("at_work")
@pytest.mark.soak  # for its length: it held
@pytest.mark.parametrize("plugs", (50,))
def test_a_storm_that_overruns_the_buffer_costs_no_device(desk, plugs):
    desk.fill()
    desk.pc.run(f"systemctl stop {SERVICE}")
    desk.pc.put("/root/storm.py", STORM)
    python = "$(sed -n '1s/^#!//p' $(command -v phyllome-seat))"
    unit = "systemd-run -q --unit=storm -p StandardOutput=file:/run/storm"
    desk.pc.run(f"{unit} {python} /root/storm.py")
    desk.pc.wait("grep -q ^watching /run/storm", timeout_s=120)
    for seat in SOCKETS:  # it has its connections and threads by then
        desk.pull(seat)
        desk.plug(seat)
    desk.wait_right()
    memory = "awk '/VmRSS/ {print $2}' /proc/$(systemctl show -P MainPID storm)/status"
    before = int(desk.pc.run(memory).stdout)
    desk.pc.run("systemctl kill -s STOP storm")
    desk.pc.put("/root/events.sh", EVENTS.replace("HOST_USB", HOST_USB))
    desk.pc.run("systemd-run -q --unit=events -p RemainAfterExit=yes sh /root/events.sh")
    for _ in range(plugs // 2):
        for seat in SOCKETS:
            desk.pull(seat)
            desk.plug(seat)
    desk.pc.wait("test $(cat /run/events) = 1000", timeout_s=300)
    desk.pc.run("udevadm settle --timeout=600", timeout_s=600)
    desk.pull("left")
    desk.pc.run("systemctl kill -s CONT storm")
    desk.pc.wait(
        "grep -q '^udev sent more' /run/storm", timeout_s=120
    )  # the overrun really happened
    desk.wait_right()
    desk.plug("left")
    desk.wait_right()
    assert int(desk.pc.run(memory).stdout) < before * 1.1
    desk.pc.run(f"systemctl stop storm events; systemctl start {SERVICE}")
    desk.type_everywhere()


def test_revert_takes_the_service_out_again(desk):
    for seat in list(desk.typed):
        desk.destroy(seat)
    assert SERVICE in desk.command("revert")
    assert desk.pc.run(f"systemctl cat {SERVICE}", check=False).status


# Without a card of the host's, or it could not be saved.
ALONE = f"""\
version: 1
host: {{memory: 1GiB}}
seats:
  left:
    usb:
      - port: {{controller: "{HOST_USB}", id: "1b36:000d", usb2: "{SOCKETS["left"]}"}}
    guest: {{domain: left}}
"""


@pytest.fixture(scope="module")
def alone(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        for thing in OF_THE_EXAMPLE:
            pc.unplug(thing)
        desk = Desk(pc)
        desk.prepare(ALONE)
        desk.command("apply")
        desk.command("watch", "--install")
        desk.plug("left")
        desk.start("left")
        desk.wait_ready("left")
        desk.wait_right()
        desk.type_everywhere()
        yield desk


def save(desk, count):
    desk.pc.run("virsh -q managedsave left", timeout_s=180)
    desk.wait_said("guest left of seat left is shut off", count)
    desk.pc.wait(f"test -e /sys/bus/pci/devices/{HOST_USB}/usb1/1-2/1-2:1.0/driver")


@pytest.mark.soak  # for its length
def test_a_guest_that_was_saved_sees_its_devices_again_when_it_is_restored(alone):
    save(alone, 1)
    alone.pc.run("virsh -q start left", timeout_s=180)

    alone.wait_said("was saved and restored since")
    alone.wait_right()
    alone.type_everywhere()


@pytest.mark.soak  # as above
def test_a_saved_guest_is_restored_with_what_was_plugged_in_again_meanwhile(alone):
    save(alone, 2)
    alone.pc.run(f"systemctl stop {SERVICE}")
    alone.pull("left")
    alone.pc.wait(f"! test -e /sys/bus/pci/devices/{HOST_USB}/usb1/1-2")
    missing = alone.pc.run("phyllome-seat start left", check=False, timeout_s=180)
    replug(alone)
    plain = alone.pc.run("virsh -q start left", check=False, timeout_s=180)

    assert missing.status == 1
    assert f"not plugged into {HOST_USB}/usb2/2 now" in missing.stderr
    assert "virsh managedsave-remove left" in missing.stderr
    assert plain.status == 1 and re.search("Did not find .*USB device", plain.stderr)

    alone.pc.run(f"systemctl start {SERVICE}")
    alone.wait_said("tell the saved state of guest left .*done in")
    alone.pc.run("virsh -q start left", timeout_s=180)
    alone.wait_right()
    alone.type_everywhere()

    save(alone, 3)
    alone.pull("left")
    replug(alone)
    alone.wait_said("tell the saved state of guest left .*done in", 2)

    alone.pc.run(f"systemctl stop {SERVICE}")
    alone.pull("left")
    alone.pc.wait(f"! test -e /sys/bus/pci/devices/{HOST_USB}/usb1/1-2")
    replug(alone)
    alone.command("start", "left", timeout_s=180)
    alone.pc.run(f"systemctl start {SERVICE}")
    alone.wait_right()
    alone.type_everywhere()


def replug(desk):
    desk.plug("left")
    desk.pc.wait(f"test -e /sys/bus/pci/devices/{HOST_USB}/usb1/1-2/1-2:1.0/driver")
