"""Steps done: in order, read back, and the same end wherever a run was killed."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

import phyllome_seat.system
from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.devices import Connector, Guest, Hostdev, Pending
from phyllome_seat.model.errors import ApplyError, HeldError, PendingError, ProgramError
from phyllome_seat.model.plan import plan, plan_revert
from phyllome_seat.model.seat import Seat
from phyllome_seat.model.step import (
    ArmReturn,
    BindDriver,
    CreateDisk,
    EditGuest,
    GuestPci,
    NoteDriver,
    ReloadUdev,
    RemoveFile,
    RestoreGuest,
    WriteFile,
)
from phyllome_seat.system import console_return
from phyllome_seat.system.apply import apply
from phyllome_seat.system.scan import scan
from phyllome_seat.system.state import HEADER, RULES, State, read_state
from tests.system.fake_kernel import FakeKernel, Function
from tests.system.own_node import OwnNode

GPU = Function("0000:01:00.0", (0x10DE, 0x2786, 0x1043, 0x88E2), "nouveau")
SOUND = Function("0000:01:00.1", (0x10DE, 0x22BC, 0x1043, 0x88E2), "snd_hda_intel", 1, 0x040300)
TWIN = Function("0000:02:00.0", (0x10DE, 0x2786, 0x1043, 0x88E2), "nouveau", 2)
FUNCTIONS = (GPU, SOUND, TWIN)
DRIVERS = ("vfio-pci", "nouveau", "snd_hda_intel")
ADDRESSES = (PciAddress.parse(GPU.address), PciAddress.parse(SOUND.address))
SEATED = Assignment(
    (
        SeatAssignment(
            Seat("left"), (GuestPci(ADDRESSES[0], "gpu", 0), GuestPci(ADDRESSES[1], "sound", 0))
        ),
    )
)
CHANGING = ("apply", "bind", "child_write", "files", "run", "state", "udev")
RULES_STEP = WriteFile(f"/{RULES}", f"{HEADER}ours\n", "a test")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder of programs that note how they were called, before all others on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def add(name, body=""):
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{body}\n')
        path.chmod(0o755)

    def calls():
        path = folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    return add, calls


@pytest.fixture
def kernel(tmp_path):
    return FakeKernel(tmp_path / "pc", FUNCTIONS, DRIVERS)


@pytest.fixture
def disks():
    """A folder for disk images: not in /dev/shm, for what is below /dev is a disk already."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def state(kernel):
    return State(kernel.root)


def look(kernel):
    """The machine as a Host, with its state."""
    before, pending, files, kept = read_state(kernel)
    host = scan(kernel)
    return replace(host, before=before, pending=pending, files=files, kept_guests=kept, guests=())


def apply_seats(kernel):
    host = look(kernel)
    apply(plan(SEATED, host), kernel, State(kernel.root), host=host)


def revert(kernel):
    host = look(kernel)
    apply(plan_revert(host), kernel, State(kernel.root), host=host)


def test_what_was_seen_and_cannot_be_written_down_keeps_nobody_from_giving_back(kernel, programs):
    programs[0]("udevadm")
    apply_seats(kernel)
    seen = Path(kernel.root) / "var/lib/phyllome-seat/seen.json"
    seen.unlink(missing_ok=True)
    seen.mkdir(parents=True)  # as little can be written there as on a full disk

    host, said = look(kernel), []
    apply(plan_revert(host), kernel, State(kernel.root), host=host, say=said.append)

    assert plan_revert(look(kernel)) == ()
    assert "what is in sight now is not remembered" in said[0]


def snapshot(root):
    """Every file below a root with what it holds, but what may differ: memory, and locks."""
    found = {}
    for path in sorted(Path(root).rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith("fake/") or name.endswith(("seen.json", "/lock")) or path.is_dir():
            continue
        found[name] = str(path.readlink()) if path.is_symlink() else path.read_text()
    return found


def kill_at_line(nth, work):
    """Do `work` in a process that is killed at its `nth` line of code that changes; was it?"""
    folder = Path(phyllome_seat.system.__file__).parent
    ours = {str(folder / f"{name}.py") for name in CHANGING}
    pid = os.fork()
    if pid == 0:
        left = nth

        def trace(frame, event, _):
            nonlocal left
            if frame.f_code.co_filename not in ours or os.getpid() != victim:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(victim, signal.SIGKILL)
            return trace

        victim = os.getpid()
        sys.settrace(trace)
        work()
        sys.settrace(None)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


# -- order and crash -------------------------------------------------------------------------------


def test_a_second_apply_finds_nothing_to_do_and_revert_leaves_no_trace(kernel, programs):
    programs[0]("udevadm")
    untouched = snapshot(kernel.root)

    apply_seats(kernel)

    assert plan(SEATED, look(kernel)) == ()
    assert [kernel.driver(f.address) for f in FUNCTIONS] == ["vfio-pci", "vfio-pci", "nouveau"]

    revert(kernel)

    assert plan_revert(look(kernel)) == ()
    assert snapshot(kernel.root) == untouched


@pytest.mark.parametrize("way", ["there", "back"])
def test_killed_anywhere_and_run_again_ends_the_same(way, tmp_path, programs):
    programs[0]("udevadm")

    first = FakeKernel(tmp_path / "first", FUNCTIONS, DRIVERS)
    if way == "back":
        apply_seats(first)

    def machine(name):
        shutil.copytree(first.root, tmp_path / name, symlinks=True)
        return FakeKernel(tmp_path / name, drivers=())

    work = apply_seats if way == "there" else revert
    whole = machine("whole")
    work(whole)
    end = snapshot(whole.root)
    kills = 0
    for nth in range(1, 100_000, 37):  # a number without meaning: not all lines, but all places
        kernel = machine(str(nth))
        if not kill_at_line(nth, lambda kernel=kernel: work(kernel)):
            break
        kills += 1

        work(kernel)

        assert snapshot(kernel.root) == end, f"killed at line {nth}"
        shutil.rmtree(kernel.root)

    assert kills > 20


def test_a_note_that_is_lost_is_made_anew_and_revert_lets_the_kernel_choose(
    kernel, state, programs
):
    """The guest and what was seen on the card are the marks that are left."""
    programs[0]("udevadm")
    untouched = snapshot(kernel.root)
    guest = Guest(
        "win11",
        "u1",
        seat="left",
        hostdevs=tuple(Hostdev(pci=a, alias=f"ua-phyllome-left-x-{a.function}") for a in ADDRESSES),
    )
    seen = tuple(Connector(ADDRESSES[0], name, None, remembered=True) for name in ("DP-1", "DP-2"))
    apply_seats(kernel)
    for address in ADDRESSES:
        state.drop_before(address)

    def but_guests(work, *args):
        host = replace(look(kernel), guests=(guest,), connectors=seen)
        return tuple(step for step in work(*args, host) if not isinstance(step, RestoreGuest))

    for expected in (2, 0):
        steps = but_guests(plan, SEATED)
        assert [type(step) for step in steps] == [NoteDriver] * expected
        apply(steps, kernel, state)
    apply(but_guests(plan_revert), kernel, state)

    assert snapshot(kernel.root) == untouched


def test_what_was_pulled_out_is_forgotten_by_revert(kernel, programs):
    programs[0]("udevadm")
    apply_seats(kernel)
    kernel.unplug(SOUND.address)

    revert(kernel)

    assert read_state(kernel)[0] == ()
    assert plan_revert(look(kernel)) == ()


def test_a_function_in_use_is_refused_before_the_first_step(kernel, state):
    folder = kernel.path / f"sys/devices/pci0000:00/{SOUND.address}/sound/card1/controlC1"
    folder.mkdir(parents=True)
    node = OwnNode()
    (folder / "dev").write_text(f"{node.number}\n")
    (folder / "subsystem").symlink_to("/sys/class/sound")
    steps = plan(SEATED, look(kernel))
    untouched = snapshot(kernel.root)
    said = []
    with node, pytest.raises(HeldError, match=f"^{SOUND.address}"):
        apply((RULES_STEP, *steps), kernel, state, say=said.append)
    node.close()

    assert said == []
    assert snapshot(kernel.root) == untouched


def test_no_step_is_begun_while_the_kernel_has_not_finished_one(kernel, state):
    kernel.hold(SOUND.address)
    unbind = kernel.begin_write(f"sys/bus/pci/devices/{SOUND.address}/driver/unbind")
    state.write_pending(Pending(ADDRESSES[1], "snd_hda_intel", unbind.pid, ("pid 812 (x)",)))
    unbind.finish(SOUND.address, 0.2)
    said = []

    with pytest.raises(PendingError, match=r"unbind from snd_hda_intel pending \(held by pid 812"):
        apply((RULES_STEP,), kernel, state, say=said.append, unbind_s=0.3)

    assert said == []
    kernel.let_go(SOUND.address)
    apply((RULES_STEP,), kernel, state, say=said.append)
    assert said == [str(RULES_STEP)]


def test_each_step_is_said_before_it_is_done_and_a_failure_ends_it(kernel, state):
    wrong = BindDriver(ADDRESSES[0], PciId(*GPU.id), "GeForce", "nouveau", None, "left", "no-such")
    said = []

    with pytest.raises(ProgramError):
        apply((RULES_STEP, wrong, RemoveFile(f"/{RULES}")), kernel, state, say=said.append)

    assert said == [str(RULES_STEP), str(wrong)]
    assert (kernel.path / RULES).exists()


def test_what_is_in_sight_is_remembered_before_it_goes(kernel, state, programs):
    programs[0]("udevadm")

    apply_seats(kernel)

    assert GPU.address in state.read_seen()


# -- files -----------------------------------------------------------------------------------------


def test_a_file_is_written_whole_with_its_mode_and_removed(kernel, state):
    apply((replace(RULES_STEP, mode=0o640),), kernel, state)
    path = kernel.path / RULES

    assert path.read_text() == RULES_STEP.content
    assert stat.S_IMODE(path.stat().st_mode) == 0o640

    for _ in range(2):
        apply((RemoveFile(f"/{RULES}"),), kernel, state)
        assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("step", [RULES_STEP, RemoveFile(f"/{RULES}")])
def test_a_file_of_another_s_by_our_name_is_left_as_it_is(kernel, state, step):
    path = kernel.path / RULES
    path.parent.mkdir(parents=True)
    path.write_text("# by hand\n")

    with pytest.raises(ApplyError, match=f"^/{RULES} was not written by phyllome-seat"):
        apply((step,), kernel, state)

    assert path.read_text() == "# by hand\n"


def test_a_folder_that_is_a_file_is_said(kernel, state):
    (kernel.path / "etc").write_text("")

    with pytest.raises(ApplyError, match=f"^/{RULES}: Not a directory"):
        apply((RULES_STEP,), kernel, state)


# -- programs --------------------------------------------------------------------------------------


def test_udev_reads_its_rules_then_looks_at_each_function_and_is_waited_for(
    kernel, state, programs
):
    add, calls = programs
    add("udevadm")
    gone = PciAddress.parse("0000:7f:00.0")

    apply((ReloadUdev((*ADDRESSES, gone)),), kernel, state)

    assert calls() == [
        "udevadm control --reload",
        *(
            f"udevadm trigger --action=change --parent-match=/sys/devices/pci0000:00/{address}"
            for address in ADDRESSES
        ),
        "udevadm settle --timeout=60",
    ]


def test_keyboards_that_change_seats_go_and_come_for_a_desktop_that_runs(kernel, state, programs):
    add, calls = programs
    add("udevadm")
    folders = {}
    for number, seat in (
        (5, "ID_SEAT=seat-phyllome-left"),
        (6, "ID_SEAT=seat1"),
        (7, "ID_BUS=usb"),
    ):
        folders[number] = f"sys/devices/pci0000:00/{ADDRESSES[0]}/usb1/input/event{number}"
        (kernel.path / folders[number]).mkdir(parents=True)
        (kernel.path / folders[number] / "dev").write_text(f"13:{number}\n")
        data = kernel.path / f"run/udev/data/c13:{number}"
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_text(f"E:{seat}\n")
        link = kernel.path / f"sys/class/input/event{number}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../../{folders[number]}")

    apply((ReloadUdev(ADDRESSES[1:]),), kernel, state)
    assert not any("remove" in call for call in calls())
    apply((ReloadUdev(ADDRESSES),), kernel, state)

    assert calls()[-5:] == [
        "udevadm settle --timeout=60",
        f"udevadm trigger --action=remove /{folders[5]}",
        "udevadm settle --timeout=60",
        f"udevadm trigger --action=add /{folders[5]}",
        "udevadm settle --timeout=60",
    ]


def test_udev_that_does_not_settle_is_an_error(kernel, state, programs):
    programs[0]("udevadm", 'test "$1" != settle')

    with pytest.raises(ProgramError, match="udevadm settle --timeout=60 failed with status 1"):
        apply((ReloadUdev(ADDRESSES),), kernel, state)


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
@pytest.mark.parametrize(("name", "kind"), [("a b.qcow2", "qcow2"), ("a.img", "raw")])
def test_a_disk_is_made_once_and_an_existing_one_left(kernel, state, disks, name, kind):
    path = disks / name
    step = CreateDisk(str(path), 3 << 20)

    apply((step,), kernel, state)

    found = subprocess.run(
        ["qemu-img", "info", path], capture_output=True, text=True, check=True
    ).stdout
    assert f"file format: {kind}" in found
    assert "virtual size: 3 MiB (3145728 bytes)" in found
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]

    path.write_text("somebody's")
    apply((step,), kernel, state)
    assert path.read_text() == "somebody's"


def test_a_disk_without_a_folder_is_refused(kernel, state, tmp_path):
    with pytest.raises(ApplyError, match="there is no folder"):
        apply((CreateDisk(str(tmp_path / "no/disk.qcow2"), 1 << 20),), kernel, state)


SYSTEMD_RUN = 'test -e "$0.armed" && exit 1; touch "$0.armed"'
SYSTEMCTL = """
run=$(dirname "$0")/systemd-run.armed
case $1 in
is-active) test -e "$run" && echo active || { echo inactive; exit 3; } ;;
stop) test -e "$run" || exit 5; rm "$run" ;;
esac
"""


def test_a_timer_is_armed_anew_confirmed_once_and_then_gone(kernel, state, programs):
    add, calls = programs
    add("systemd-run", SYSTEMD_RUN)
    add("systemctl", SYSTEMCTL)

    apply((ArmReturn(120), ArmReturn(90)), kernel, state)

    assert console_return.is_armed()
    (armed,) = [line for line in calls() if "--on-active=90s" in line]
    assert armed.endswith("-m phyllome_seat.cli revert --unattended")
    assert console_return.confirm() is True
    assert console_return.confirm() is False


def test_a_timer_that_did_not_start_is_an_error_and_the_console_stays(kernel, state, programs):
    add, _ = programs
    add("systemd-run")
    add("systemctl", SYSTEMCTL)

    with pytest.raises(ApplyError, match=r"phyllome-seat-return\.timer is not active, not active"):
        apply((ArmReturn(), *plan(SEATED, look(kernel))), kernel, state)

    assert kernel.driver(GPU.address) == "nouveau"


def test_a_guest_step_without_libvirt_says_so(kernel, state):
    step = EditGuest("left", "win11", "5f0bb4a4-0a47-4d5e-8d8e-111111111111", ())

    with pytest.raises(ApplyError, match=r"^cannot edit guest win11 .*: libvirt does not answer"):
        apply((step,), kernel, state)
