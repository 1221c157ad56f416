"""Twice is once, a crash is a pause, and revert gives the machine back: in a PC with a real kernel,
udev and libvirt, looked at by `compare`, which knows nothing of how it is done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from phyllome_seat.lab.describe import read_description
from tests.lab.conftest import EXAMPLE
from tests.lab.owned import RIGHT_DISK, SECRETS, Machine
from tests.lab.story import demo

pytestmark = pytest.mark.lab

RULES = "/etc/udev/rules.d/72-phyllome-seat.rules"


@pytest.fixture(scope="module")
def prepared(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        machine = Machine(pc)
        machine.prepare()
        yield machine


@pytest.fixture
def machine(prepared, request):
    """The machine without seats; each test leaves it so, or it is made anew after a failure."""
    failures = request.session.testsfailed
    yield prepared
    if request.session.testsfailed > failures:
        prepared.pc.restore()
        prepared.knows_applied = False
        prepared.prepare()


@pytest.fixture
def applied(machine):
    """The machine with its seats set up, for a test that gives it back."""
    machine.command("apply")
    if not machine.knows_applied:
        machine.look("applied")
        machine.knows_applied = True
    return machine


def test_apply_twice_is_once_and_revert_without_a_seat_file_gives_the_pc_back(applied):
    changed = {line.partition(":")[0] for line in applied.differences("before")}
    assert changed >= {"files", "domains", "functions", "udev"}
    assert all(secret in applied.pc.get("/root/now.json").decode() for secret in SECRETS)
    assert "nothing to do" in applied.command("apply")
    assert applied.differences("applied") == []

    applied.pc.run(f"mv {demo.SEAT_FILE} /root")
    applied.command("revert")
    assert "nothing to do" in applied.command("revert")
    applied.wait_monitors()
    applied.pc.run(f"mv /root/seats.yaml {demo.SEAT_FILE}")
    (disk,) = applied.differences("before")
    assert disk.startswith(f"files: {RIGHT_DISK}: nothing -> "), disk
    applied.forget_disk()


# -- what was applied, undone by hand --------------------------------------------------------------

FUNCTION = "/sys/bus/pci/devices/{}"


def rules_again(below):
    """Returns how the steps begin that write the rules, and have udev look at these functions."""
    return (
        "write /run/phyllome-seat/reload ",
        f"write {RULES} ",
        f"let udev read its rules again and look at what is below {below}",
        "remove /run/phyllome-seat/reload",
    )


@dataclass(frozen=True)
class Undone:
    """Something undone by hand, in shell, and how the steps begin that are the repair.

    ``{left}`` is the card of seat left, ``{sound}`` its sound, ``{usb}`` its USB controller,
    ``{all}`` all functions of seats.
    """

    what: str
    by: str
    steps: tuple[str, ...]


UNDONE = (
    Undone("the rules are removed", f"rm {RULES}", rules_again("{all}")),
    Undone(
        "the rules have a line more",
        f"echo '# mine' >>{RULES}",
        rules_again("no device"),
    ),
    Undone(
        "the rules have no line for one controller",
        f"sed -i '/^DEVPATH.*{{usb}}/d' {RULES}",
        rules_again("{usb}"),
    ),
    Undone(
        "a card is given back to its driver",
        f"cd {FUNCTION.format('{left}')}; echo >driver_override; echo {{left}} >driver/unbind;"
        "echo {left} >/sys/bus/pci/drivers_probe; udevadm settle",
        ("bind {left} ",),
    ),
    Undone(
        "a card's sound is given back to its driver",
        f"cd {FUNCTION.format('{sound}')}; echo >driver_override; echo {{sound}} >driver/unbind;"
        "echo {sound} >/sys/bus/pci/drivers_probe; udevadm settle",
        ("bind {sound} ",),
    ),
    Undone(
        "a controller has no driver",
        f"cd {FUNCTION.format('{usb}')}; echo {{usb}} >driver/unbind",
        ("bind {usb} ",),
    ),
    Undone(
        "a controller's override is cleared",
        f"echo >{FUNCTION.format('{usb}')}/driver_override",
        ("bind {usb} ",),
    ),
    Undone(
        "a device is taken out of a guest",
        "virsh -q detach-device-alias left ua-phyllome-left-usb-1 --config",
        ("edit guest left ",),
    ),
    Undone(
        "our mark is taken out of a guest",
        "virsh -q metadata left https://phyllo.me/xmlns/seat/1.0 --remove --config",
        ("edit guest left ",),
    ),
    Undone(
        "the disk that we made for a guest is deleted",
        f"rm {RIGHT_DISK}",
        (f"create disk {RIGHT_DISK} ",),
    ),
    Undone(
        "a guest that we made is undefined",
        "virsh -q undefine right --nvram",
        # What is kept about the domain goes with it; the disk is there and stays as it is.
        ("remove /var/lib/phyllome-seat/before/", "create disk ", "create guest right "),
    ),
)


@pytest.mark.soak  # takes a minute
def test_what_is_undone_by_hand_is_the_plan_and_a_broken_seat_file_keeps_no_revert(applied):
    controllers, cards = (
        [applied.pc.address(seat + part) for seat in demo.SEATS] for part in ("-usb", "")
    )
    functions = [*controllers, *(card[:-1] + function for card in cards for function in "01")]
    words = {"left": cards[0], "sound": cards[0][:-1] + "1", "usb": controllers[0]}
    words["all"] = ", ".join(sorted(functions))

    for undone in UNDONE:
        applied.pc.script(undone.by.format(**words))
        steps = applied.plan()
        begins = [begin.format(**words) for begin in undone.steps]
        assert len(steps) == len(begins), (undone.what, steps)
        assert all(map(str.startswith, steps, begins)), (undone.what, steps)
        applied.command("apply")  # and looks itself whether anything is left to do
    assert applied.differences("applied") == []

    applied.pc.run(f"cp {demo.SEAT_FILE} /root; echo 'seats: [' >{demo.SEAT_FILE}")
    applied.go_back()
    applied.pc.run(f"mv /root/seats.yaml {demo.SEAT_FILE}")
    assert applied.differences("before") == []


# -- revert, with something missing ----------------------------------------------------------------

LIBVIRT = "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"


@pytest.mark.soak  # takes a minute
def test_revert_without_libvirt_says_what_is_left_and_ends_when_it_is_back(applied):
    uuids = [applied.pc.run(f"virsh domuuid {seat}").stdout.strip() for seat in demo.SEATS]
    applied.pc.run(f"systemctl -q stop {LIBVIRT}; systemctl -q mask --runtime {LIBVIRT}")
    done = applied.pc.run("phyllome-seat revert", check=False, timeout_s=180)

    assert done.status == 1, done
    assert all(uuid in done.stderr for uuid in uuids), done
    for address in map(applied.pc.address, ("left", "right", "left-usb", "right-usb")):
        driver = applied.pc.run(f"readlink /sys/bus/pci/devices/{address}/driver").stdout
        assert not driver.strip().endswith("vfio-pci"), address
    applied.pc.run(f"systemctl -q unmask --runtime {LIBVIRT}; systemctl -q start {LIBVIRT}")
    applied.go_back()
    assert applied.differences("before") == []


@pytest.mark.soak  # takes a minute
def test_what_its_owner_changed_in_a_domain_since_stays(applied):
    pc = applied.pc
    pc.script(
        "virsh -q setmaxmem left 512M --config; virsh -q setmem left 512M --config;"
        "virsh -q attach-disk left /root/right.img vdb --config"
    )
    applied.go_back()
    assert applied.differences("before")
    now, before = (
        ElementTree.fromstring(json.loads(pc.get(f"/root/{look}.json"))["domains"]["left"]["xml"])
        for look in ("now", "before")
    )
    assert now.findtext("memory") == now.findtext("currentMemory") == str(512 * 1024)
    assert now.find("devices/disk/source").get("file") == "/root/right.img"
    assert now.findall("devices/hostdev") == now.findall("metadata") == []
    # All else is as it was, but for ports that the disk's place needs and libvirt numbers.
    for domain in (now, before):
        for tag in ("memory", "currentMemory"):
            domain.find(tag).text = ""
        devices = domain.find("devices")
        for gone in [*devices.findall("disk"), *devices.findall("controller[@type='pci']")]:
            devices.remove(gone)
    assert ElementTree.canonicalize(ElementTree.tostring(now), strip_text=True) == (
        ElementTree.canonicalize(ElementTree.tostring(before), strip_text=True)
    )
    pc.run("virsh -q undefine left; virsh -q define /root/left.xml")
    assert applied.differences("before") == []
