"""A PC for each test that asks: from its snapshot, so that no test sees what another did."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.faults import STANDS_STILL, find_fault
from phyllome_seat.lab.programs import missing_programs
from tests.lab.modular import install_virtqemud

EXAMPLE = Path(__file__).parents[2] / "examples/two-seat-gaming-pc/pc.yaml"
_NOT_RUN = pytest.StashKey[str]()
_FAILED = pytest.StashKey[list[bool]]()
_LAB = pytest.StashKey["Lab"]()
EMULATOR_FAULT = 75  # EX_TEMPFAIL of sysexits.h; the Makefile then runs what failed once more


def pytest_collection_modifyitems(config, items):
    programs, packages = missing_programs()
    if not programs:
        return
    reason = f"NOT RUN: no {', '.join(programs)} here (apt-get install {' '.join(packages)})"
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.skip(reason=reason))
            config.stash[_NOT_RUN] = reason


def pytest_configure(config):
    config.stash[_FAILED] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        fault = _find_fault(item, call.excinfo.value)
        if fault:
            report.sections.append(("the emulator's", fault))
        if fault == STANDS_STILL:
            _end_pc(item.config)
        item.config.stash[_FAILED].append(bool(fault))
    return report


def _end_pc(config):
    """Ends a PC that stands still: who is told next in it would wait a minute for each answer."""
    lab = config.stash.get(_LAB, None)
    if lab is not None and lab.pc is not None:
        with suppress(LabError, ProcessLookupError):
            os.kill(lab.pc.machine.pid, signal.SIGKILL)


def _find_fault(item, error):
    """Returns what the emulator did to a story, as far as that can be seen; else nothing."""
    lab = item.config.stash.get(_LAB, None)
    return find_fault(error, lab.pc if lab is not None else None)


def pytest_sessionfinish(session):
    """Tells a run whose every failure is a PC that stood still from one that found a fault."""
    failed = session.config.stash[_FAILED]
    if failed and all(failed):
        session.exitstatus = EMULATOR_FAULT


def pytest_terminal_summary(terminalreporter, config):
    if _NOT_RUN in config.stash:
        terminalreporter.section("the lab's tests", red=True)
        terminalreporter.write_line(config.stash[_NOT_RUN])


@pytest.fixture
def two_seats():
    """The PC of the two-seat example."""
    return read_description(EXAMPLE)


class Lab:
    """The one PC of this test run: kept up over tests, and ended when another is wanted."""

    def __init__(self, release, modular):
        self.release = release
        self.modular = modular
        self.pc = None
        self.shared = False

    def open(self, description, **how):
        """A PC for one caller, who closes it."""
        # Imported late: without QEMU's library the tests that need no PC still run.
        from phyllome_seat.lab.pc import Pc

        self.close()
        self.shared = False
        self.pc = Pc.open(description, release=self.release, say=print, **how)
        self._install()
        return self.pc

    def _install(self):
        if self.modular:
            install_virtqemud(self.pc, self.modular)

    def ready(self, description):
        """The PC that tests share, as it was when it was ready."""
        if self.pc is not None and self.shared:
            self.pc.restore()
            self._install()
        else:
            self.open(description)
            self.shared = True
        return self.pc

    def close(self):
        if self.pc is not None:
            self.pc.close()
            self.pc = None


@pytest.fixture(scope="session")
def lab(request):
    kept = request.config.stash[_LAB] = Lab(
        request.config.getoption("--pc"), request.config.getoption("--modular")
    )
    yield kept
    kept.close()


@pytest.fixture(scope="session")
def open_pc(lab):
    """Open a PC of the release that --pc names; the caller closes it."""
    return lab.open


@pytest.fixture
def pc(lab, two_seats):
    """The two-seat PC, as it was when it was ready."""
    return lab.ready(two_seats)
