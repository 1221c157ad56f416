"""A PC for each test that asks: from its snapshot, so that no test sees what another did."""

from __future__ import annotations

from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.programs import missing_programs

EXAMPLE = Path(__file__).parents[2] / "examples/two-seat-gaming-pc/pc.yaml"
_NOT_RUN = pytest.StashKey[str]()


def pytest_collection_modifyitems(config, items):
    programs, packages = missing_programs()
    if not programs:
        return
    reason = f"NOT RUN: no {', '.join(programs)} here (apt-get install {' '.join(packages)})"
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.skip(reason=reason))
            config.stash[_NOT_RUN] = reason


def pytest_terminal_summary(terminalreporter, config):
    if _NOT_RUN in config.stash:
        terminalreporter.section("the lab's tests", red=True)
        terminalreporter.write_line(config.stash[_NOT_RUN])


@pytest.fixture
def two_seats():
    """The PC of the two-seat example."""
    return read_description(EXAMPLE)


@pytest.fixture(scope="session")
def open_pc(request):
    """Open a PC of the release that --pc names; the caller closes it."""
    # Imported late: without QEMU's library the tests that need no PC still run.
    from phyllome_seat.lab.pc import Pc

    def open_one(description, **how):
        release = request.config.getoption("--pc")
        return Pc.open(description, release=release, say=print, **how)

    return open_one


@pytest.fixture
def pc(open_pc, two_seats):
    """The two-seat PC, as it was when it was ready."""
    with open_pc(two_seats) as opened:
        yield opened
