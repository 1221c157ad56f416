"""Definitions, rules and guests on a real libvirt, udev and KVM."""

import re
from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
PYTHON = "/opt/phyllome-seat/bin/python"
SCRIPT = Path(__file__).with_name("run_guests.py")
SCENARIOS = re.findall(r"^    (\w+),$", SCRIPT.read_text().partition("SCENARIOS = (")[2], re.M)


@pytest.fixture(scope="module")
def said(open_pc):
    description = read_description(ROOT / "examples/two-seat-gaming-pc/pc.yaml")
    with open_pc(description) as pc:
        pc.put(f"/root/{SCRIPT.name}", SCRIPT.read_bytes())
        parts = " ".join(pc.address(part) for part in ("left", "left-usb", "host-usb"))
        command = f"{PYTHON} /root/{SCRIPT.name} {parts}"
        done = pc.run(command, check=False, timeout_s=600)
        return done.stdout + done.stderr


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_holds_in_a_real_pc(said, name):
    assert f"held: {name}\n" in said, said
