"""The examples run: the library's ten lines on a PC from a file; the long story is the lab's."""

import subprocess
import sys
from pathlib import Path

from phyllome_seat.model.host_json import render_host
from phyllome_seat.model.seat_file import render_wish
from tests.model.hosts import applied_two_seat_pc, two_seat_pc, two_seat_wish

ROOT = Path(__file__).parents[2]


def run_library(tmp_path, host):
    (tmp_path / "host.json").write_text(render_host(host))
    (tmp_path / "seats.yaml").write_text(render_wish(two_seat_wish()))
    command = [sys.executable, ROOT / "examples/library.py", "seats.yaml", "host.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_library_example_prints_the_cards_and_the_plan(tmp_path):
    lines = run_library(tmp_path, two_seat_pc())

    assert any("0000:01:00.0" in line and "Monitor(" in line for line in lines)
    assert any(line.startswith("bind 0000:01:00.0") for line in lines)


def test_the_library_example_plans_nothing_for_a_pc_that_is_set_up(tmp_path):
    lines = run_library(tmp_path, applied_two_seat_pc())

    assert not any(line.startswith("bind ") for line in lines)
