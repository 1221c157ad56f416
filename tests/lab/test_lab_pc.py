"""The two-seat PC: commands and files in it, hands and eyes outside it, its power."""

import shlex
import time
from pathlib import Path

import pytest

from phyllome_seat.lab.description import Disk, UsbKind, UsbThing
from phyllome_seat.lab.edid import render_edid
from phyllome_seat.lab.errors import CommandError, CommandTimeoutError, DiedError, LabError

pytestmark = pytest.mark.lab

# Reads evdev nodes by id for a while and prints what it got: NODE TYPE CODE VALUE.
LISTEN = """
import evdev, glob, selectors, sys, time
chosen = selectors.DefaultSelector()
for part in sys.argv[2:]:
    (path,) = glob.glob(f"/dev/input/by-id/*_{part}-event-*")
    chosen.register(evdev.InputDevice(path), selectors.EVENT_READ, part)
print("listening", flush=True)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for ready, _ in chosen.select(0.2):
        for event in ready.fileobj.read():
            if event.type != evdev.ecodes.EV_SYN:
                print(ready.data, event.type, event.code, event.value, flush=True)
"""


def listen(pc, seconds, *serials):
    """Start listening in the PC; the returned call waits for the end and gives the lines."""
    pc.put("/root/listen.py", LISTEN)
    words = shlex.join(serials)
    pc.run(f"(python3 /root/listen.py {seconds} {words}; echo end) >/root/heard 2>&1 &")
    pc.wait("grep -q listening /root/heard")

    def heard():
        pc.wait("grep -q end /root/heard", timeout_s=seconds + 60)
        return pc.get("/root/heard").decode().splitlines()[1:-1]

    return heard


def typed(lines, serial):
    """Key presses as letters."""
    import evdev

    return "".join(
        evdev.ecodes.KEY[int(code)].removeprefix("KEY_").lower()
        for name, kind, code, value in map(str.split, lines)
        if (name, kind, value) == (serial, "1", "1")
    )


def test_a_command_gives_its_status_and_all_of_its_output(pc):
    done = pc.run("echo out; echo err >&2; exit 7", check=False)
    assert (done.status, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert pc.run("kill -TERM $$", check=False).status == 128 + 15
    assert pc.run(["printf", "%s|", "a b", "$HOME", "'"]).stdout == "a b|$HOME|'|"
    numbers = pc.run("seq 1000000").stdout
    assert numbers == "".join(f"{number}\n" for number in range(1, 1000001))


def test_a_command_that_fails_or_hangs_is_an_error(pc):
    with pytest.raises(CommandError, match=r"`false` in the PC ended with 1"):
        pc.run("false")
    started = time.monotonic()
    with pytest.raises(CommandTimeoutError, match="did not end within 2 s"):
        pc.run("sleep 1000", timeout_s=2)
    assert time.monotonic() - started < 20
    pc.wait("! pgrep -x sleep")
    with pytest.raises(CommandError):
        pc.script("false\necho not reached")


def test_files_go_in_and_out_whole(pc):
    content = bytes(range(256)) * 12000
    pc.put("/root/a new/place", content, mode=0o600)
    assert pc.get("/root/a new/place") == content
    assert pc.run("stat -c %a '/root/a new/place'").stdout == "600\n"


def test_restore_forgets_what_was_done(pc):
    boot_id = pc.get("/proc/sys/kernel/random/boot_id")
    pc.run("touch /root/mark")
    pc.unplug("left-keyboard")
    pc.restore()
    assert pc.run("test -e /root/mark", check=False).status == 1
    assert "left-keyboard" in pc.plugged
    assert pc.get("/proc/sys/kernel/random/boot_id") == boot_id
    assert abs(float(pc.run("date +%s.%N").stdout) - time.time()) < 5


def test_keys_arrive_at_the_keyboard_they_were_typed_on(pc):
    heard = listen(pc, 8, "HK1", "LK1", "RK1")
    pc.type_at_once({"left-keyboard": "left", "right-keyboard": "right"})
    lines = heard()
    assert typed(lines, "LK1") == "left"
    assert typed(lines, "RK1") == "right"
    assert typed(lines, "HK1") == ""


def test_a_pointer_moves_and_clicks_where_it_was_sent(pc):
    heard = listen(pc, 8, "LT1", "RT1")
    pc.point("right-tablet", 0.5, 0.25)
    pc.click("right-tablet")
    lines = heard()
    assert not [line for line in lines if line.startswith("LT1")]
    assert "RT1 3 0 16384" in lines
    assert "RT1 3 1 8192" in lines
    assert [line for line in lines if line.startswith("RT1 1 272 ")] == [
        "RT1 1 272 1",
        "RT1 1 272 0",
    ]


def test_a_mouse_plugged_in_later_moves_by_steps(pc):
    pc.plug(UsbThing("mouse", UsbKind.MOUSE, "3", serial="M1"), "host-usb")
    pc.wait("ls /dev/input/by-id/*_M1-event-mouse")
    heard = listen(pc, 8, "M1", "LT1")
    pc.move("mouse", 5, -3)
    lines = heard()
    assert "M1 2 0 5" in lines
    assert "M1 2 1 -3" in lines
    assert not [line for line in lines if line.startswith("LT1")]


def test_what_is_unplugged_is_gone_and_comes_back(pc):
    node = "/dev/input/by-id/usb-QEMU_QEMU_USB_Keyboard_LK1-event-kbd"
    assert pc.run(f"test -e {node}").status == 0
    controller, thing = pc.unplug("left-keyboard")
    pc.wait(f"! test -e {node}")
    with pytest.raises(LabError, match="left-keyboard: not plugged in"):
        pc.press("left-keyboard", "a")
    pc.plug(thing, controller)
    pc.wait(f"test -e {node}")


def test_a_stick_keeps_what_is_written_to_it_over_a_replug(pc):
    pc.plug(UsbThing("stick", UsbKind.STORAGE, "4", serial="STICK1"), "host-usb")
    disk = "/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_STICK1-0:0"
    pc.wait(f"test -b {disk}")
    pc.run(f"echo hello | dd of={disk} conv=fsync")
    controller, thing = pc.unplug("stick")
    pc.wait(f"! test -e {disk}")
    pc.plug(thing, controller)
    pc.wait(f"test -b {disk}")
    assert pc.run(f"head -c 6 {disk}").stdout == "hello\n"


def test_a_picture_shows_what_a_monitor_shows(pc):
    before = pc.picture("console")
    assert (before.width, before.height) == (1024, 768)
    pc.run("printf 'hello\\n\\n\\n\\nhello' >/dev/tty1")
    time.sleep(1)
    assert pc.picture("console") != before
    assert pc.picture("left") != pc.picture("console")


def test_every_monitor_says_its_name_also_after_its_card_was_bound_anew(pc):
    def edids():
        found = pc.run(
            "for c in /sys/class/drm/card*-*; do "
            'echo "$(readlink -f $c/device/device) $(od -An -v -tx1 $c/edid | tr -d " \\n")"; done'
        ).stdout
        pairs = (line.split() for line in found.splitlines())
        return {Path(path).name: edid for path, edid in pairs}

    wanted = {pc.address(card.id): render_edid(card.screen).hex() for card in pc.description.cards}
    assert edids() == wanted
    # Both seats' cards let go and taken back in the other order: connectors' names swap.
    left, right = pc.address("left"), pc.address("right")
    driver = "/sys/bus/pci/drivers/bochs-drm"
    pc.script(
        f"echo {left} >{driver}/unbind; echo {right} >{driver}/unbind\n"
        f"echo {right} >{driver}/bind; echo {left} >{driver}/bind\n"
        "udevadm settle; sleep 1; udevadm settle\n"
    )
    assert edids() == wanted


def test_a_pc_that_is_off_says_so_and_a_disk_more_moves_bus_numbers(pc):
    pc.run("touch /root/kept; sync")
    boot_id = pc.get("/proc/sys/kernel/random/boot_id")
    before = pc.address("left"), pc.address("console")

    pc.power_off(clean=False)
    with pytest.raises(LabError, match="the PC is off"):
        pc.run("true")
    assert "Linux version" not in pc.serial_log()

    pc.power_cycle(pc.description.with_disk(Disk("extra")))
    assert "Linux version" in pc.serial_log()
    assert "Linux version" in pc.journal()
    assert pc.get("/proc/sys/kernel/random/boot_id") != boot_id
    pc.run("test -e /root/kept")
    assert pc.address("left") == "0000:05:00.0" != before[0]
    assert pc.address("console") == before[1]
    assert pc.run(f"cat /sys/bus/pci/devices/{pc.address('left')}/class").stdout == "0x038000\n"
    assert pc.run("cat /sys/block/vdb/serial").stdout == "extra"
    pc.restore()
    assert pc.address("left") == before[0]


def test_a_pc_that_restarts_from_inside_is_over(pc):
    with pytest.raises(DiedError, match="ended by itself, QEMU with 0"):
        pc.run("echo b >/proc/sysrq-trigger; sleep 30")
    with pytest.raises(DiedError):
        pc.run("true")
    pc.restore()
    pc.run("true")
