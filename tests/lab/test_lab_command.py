"""`phyllome-seat lab` as a program: a PC kept up, used from other processes, and gone after."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from phyllome_seat.lab import places
from phyllome_seat.lab.accel import boots
from phyllome_seat.lab.emulator import emulator
from phyllome_seat.lab.image import image
from tests.lab.conftest import EXAMPLE

# What it starts and ends are whole PCs: minutes.
pytestmark = [pytest.mark.lab, pytest.mark.soak]


@pytest.fixture(autouse=True)
def no_other_pc(lab):
    lab.close()


COMMAND = [
    sys.executable,
    "-c",
    "import sys; from phyllome_seat.cli import main; sys.exit(main(sys.argv[1:]))",
    "lab",
]


def lab(*words, status=0):
    done = subprocess.run(
        [*COMMAND, *words], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    return done.stdout


@contextmanager
def booted(request, until):
    """The program keeping a PC up, from the line on that holds ``until``."""
    release = request.config.getoption("--pc")
    process = subprocess.Popen(
        [*COMMAND, "boot", str(EXAMPLE), "--release", release],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in process.stdout:
            print(line, end="")
            if until in line:
                break
        yield process
    finally:
        process.kill()
        process.communicate()


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid):
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def left_behind():
    disks = places.cache_directory().glob(f"{places.disks_prefix()}*")
    return [*places.run_directory().glob("pc-*"), *disks]


def test_a_pc_that_is_up_is_used_from_other_processes(request, tmp_path):
    with booted(request, "up;") as process:
        assert lab("run", "cat /etc/hostname") == "pc\n"
        lab("run", "--", "sh", "-c", "exit 3", status=3)
        assert "left-keyboard\tkeyboard left-usb:1" in lab("plugged")
        lab("plug", "host-usb", '{id: stick, kind: storage, port: "3", serial: "S9"}')
        lab("run", "until ls /dev/disk/by-id/*S9*; do sleep 0.2; done")
        lab("unplug", "stick")
        assert "stick" not in lab("plugged")
        lab("press", "host-keyboard", "a")
        lab("picture", "left", str(tmp_path / "left.png"))
        assert (tmp_path / "left.png").read_bytes().startswith(b"\x89PNG")
        assert "Linux version" in lab("journal")
        assert lab("address", "left").startswith("0000:")
        lab("press", "no-such-keyboard", "a", status=1)
        (qemu,) = children(process.pid)
        lab("down")
        assert process.wait(20) == 0
    assert gone(qemu)
    assert left_behind() == []
    lab("plugged", status=1)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, (0, 130)), (signal.SIGTERM, (143,))]
)
def test_a_signal_ends_the_pc_and_leaves_nothing(request, number, status):
    with booted(request, "up;") as process:
        (qemu,) = children(process.pid)
        process.send_signal(number)
        assert process.wait(20) in status
    assert gone(qemu)
    assert left_behind() == []


def test_a_killed_owner_takes_the_pc_with_it(request):
    with booted(request, "up;") as process:
        (qemu,) = children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(5)
        assert gone(qemu)
    # Nobody was left to tidy up; the next PC does.
    with booted(request, "up;"):
        assert len(left_behind()) == 2
        assert lab("run", "echo fine") == "fine\n"


# Nothing in it closes the PC.
FAILS = """\
from pathlib import Path
from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.pc import Pc
def test_what_fails():
    pc = Pc.open(read_description(Path({example!r})), release={release!r})
    Path({ours!r}).write_text(str(pc.machine.pid))
    assert False
"""


def test_a_failed_test_leaves_nothing(request, tmp_path):
    release, ours = request.config.getoption("--pc"), tmp_path / "pid"
    text = FAILS.format(example=str(EXAMPLE), release=release, ours=str(ours))
    (tmp_path / "test_fails.py").write_text(text)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_fails.py"]
    done = subprocess.run(
        command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 1, done
    assert gone(int(ours.read_text()))
    assert left_behind() == []


def test_the_probe_tells_a_kernel_that_boots_from_one_that_does_not(request, tmp_path):
    kernel = image(request.config.getoption("--pc")).kernel
    assert boots(kernel, emulator(), "tcg", "max", timeout_s=120)
    broken = tmp_path / "kernel"
    broken.write_bytes(kernel.read_bytes()[: 1 << 20])
    assert not boots(broken, emulator(), "tcg", "max", timeout_s=5)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, (0, 130)), (signal.SIGTERM, (143,))]
)
def test_a_build_that_is_stopped_leaves_nothing(tmp_path, number, status):
    def builders():
        named = ["pgrep", "-f", f"mmdebstrap .*{tmp_path}"]
        return subprocess.run(named, capture_output=True, text=True, check=False).stdout.split()

    process = subprocess.Popen(
        [*COMMAND, "build"], env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    )
    try:
        end = time.monotonic() + 60
        while not builders() and time.monotonic() < end:
            time.sleep(0.2)
        assert builders()
        time.sleep(2)
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        process.send_signal(number)
        assert process.wait(30) in status
        assert builders() == []
    finally:
        process.kill()
        process.wait()
    assert [path.name for path in (tmp_path / "phyllome-seat").iterdir()] == ["image.lock"]
