"""Binding and the other effects on a real kernel, udev and systemd.

First the scenarios that the fake kernel passes: where it and the real one disagree, it is wrong.
"""

from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description
from tests.lab.run_effects import EFFECTS
from tests.system.binding import SCENARIOS

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
FILES = ("tests/system/binding.py", "tests/lab/run_binding.py", "tests/lab/run_effects.py")


@pytest.fixture(scope="module")
def said(open_pc):
    description = read_description(ROOT / "examples/two-seat-gaming-pc/pc.yaml")
    with open_pc(description) as pc:
        for file in FILES:
            pc.put(f"/root/{Path(file).name}", (ROOT / file).read_bytes())
        card, usb = pc.address("left"), pc.address("left-usb")
        sound = card.removesuffix("0") + "1"
        python = "/opt/phyllome-seat/bin/python"
        done = pc.script(
            f"{python} /root/run_binding.py {sound} 2>&1\n"
            f"{python} /root/run_effects.py {card} {usb} 2>&1\n",
            check=False,
            timeout_s=500,
        )
        return done.stdout + done.stderr


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_real_kernel_does_what_the_fake_one_does(said, name):
    assert f"held: {name}\n" in said, said


@pytest.mark.parametrize("name", EFFECTS)
def test_a_real_machine_does_what_the_effects_stand_on(said, name):
    assert f"held: {name}\n" in said, said
