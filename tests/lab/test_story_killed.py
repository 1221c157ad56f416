"""A crash is a pause: apply and revert, killed at the calls that write a file or talk to libvirt,
and run again, end as if nothing had been. No hook in the product: ptrace(2) stops it there.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description
from tests.lab.conftest import EXAMPLE
from tests.lab.owned import Machine

pytestmark = pytest.mark.lab

KILL = Path(__file__).with_name("kill.py")
FEW, PARTS = 2, 8


@pytest.fixture(scope="module")
def machine(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        machine = Machine(pc)
        machine.prepare()
        pc.put("/root/kill.py", KILL.read_text())
        yield machine


def kill(machine, *words):
    """Returns the last line that the script in the PC printed, and all."""
    done = machine.pc.run(["python3", "/root/kill.py", *words], timeout_s=300)
    return done.stdout.strip().splitlines()[-1], done.stdout + done.stderr


def points(machine, command):
    """Returns every call at which one of the command's processes can be killed, as call and N."""
    counted = json.loads(kill(machine, "count", command)[0])
    assert {"write", "rename", "unlink", "fsync"} & counted.keys(), counted
    return [(call, str(n)) for call, most in sorted(counted.items()) for n in range(1, most + 1)]


def spread(found, number):
    """Returns so many of these, evenly from the first to the last."""
    step = max(1, (len(found) - 1) // (number - 1))
    return found[::step][:number]


def survive(machine, applies, reverts):
    """Kills apply and revert at each of these calls, and returns how often a process died."""
    deaths = 0
    for at_apply, at_revert in zip_longest(applies, reverts):
        for point, command, end in (
            (at_apply, "apply", "applied"),
            (at_revert, "revert", "before"),
        ):
            if point:
                ended, said = kill(machine, "at", *point, command)
                deaths += ended.endswith(" killed")
                print(f"{command} at {point[1]} {point[0]}: status {ended}", flush=True)
            said = machine.command(command)
            if end == "before":
                machine.wait_monitors()
                machine.forget_disk()
            assert machine.differences(end) == [], (point, command, said)
            assert "nothing to do" in machine.command(command)
    return deaths


@pytest.fixture(scope="module")
def calls(machine):
    applies = points(machine, "apply")
    machine.look("applied")
    reverts = points(machine, "revert")
    machine.wait_monitors()
    machine.forget_disk()
    print(f"{len(applies)} calls of apply, {len(reverts)} of revert")
    return applies, reverts


def test_killed_at_a_few_calls_and_run_again_it_ends_the_same(machine, calls):
    deaths = survive(machine, *(spread(found, FEW) for found in calls))

    assert deaths >= FEW


@pytest.mark.soak  # two hours, which a record has in parts
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_killed_at_every_call_and_run_again_it_ends_the_same(machine, calls, part):
    parts = [found[part - 1 :: PARTS] for found in calls]
    deaths = survive(machine, *parts)

    assert deaths >= max(map(len, parts))
