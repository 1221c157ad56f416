"""The same from an installed wheel, far from the clone: what a user has."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from phyllome_seat.lab.wheel import build_wheel
from tests.lab.conftest import EXAMPLE

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def far_away(lab, tmp_path_factory):
    """A folder with a virtual environment that has the wheel, and a copy of the example."""
    lab.close()  # the PC is another process's here
    folder = tmp_path_factory.mktemp("far")
    wheel = build_wheel(folder)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv/bin/pip", "-q", "install", f"{wheel}[lab]"]
    subprocess.run(pip, check=True, cwd=folder)
    shutil.copytree(EXAMPLE.parent, folder / "story")
    return folder


def run(far_away, *command, timeout_s):
    program, *rest = command
    return subprocess.run(
        [far_away / "venv/bin" / program, *rest],
        cwd=far_away,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


@pytest.mark.soak  # takes three minutes
def test_the_lab_of_an_installed_wheel_boots_the_pc_with_that_wheel_in_it(far_away, request):
    where = run(
        far_away, "python", "-c", "import phyllome_seat as p; print(p.__file__)", timeout_s=60
    )
    assert where.stdout.startswith(str(far_away)), where

    release = request.config.getoption("--pc")
    line = "phyllome-seat scan; exit 7"
    lab_run = ("phyllome-seat", "lab", "run", "--release", release, "story/pc.yaml", "--", line)
    done = run(far_away, *lab_run, timeout_s=1200)

    assert done.returncode == 7, done.stderr
    assert "0000:04:00.0" in done.stdout
    assert "DELL U2720Q serial 8KTXF13" in done.stdout


@pytest.mark.soak
def test_the_whole_story_runs_from_an_installed_wheel(far_away, request):
    story = ("python", "story/demo.py", "--pc", request.config.getoption("--pc"))
    done = run(far_away, *story, timeout_s=1800)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Two people used one PC" in done.stdout
