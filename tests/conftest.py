from __future__ import annotations

from pathlib import Path

import pytest

from tests import recorded
from tests.record import Recorder


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(recorded.summary())


def pytest_addoption(parser):
    parser.addoption(
        "--rewrite-golden", action="store_true", help="write golden files anew; review the diff"
    )
    parser.addoption("--record", metavar="PAGE", help="write what each test did on this page")
    parser.addoption(
        "--pc",
        default="trixie",
        choices=("trixie", "bookworm", "forky"),
        help="the Debian release that the lab's PC runs",
    )


def pytest_configure(config):
    if page := config.getoption("--record"):
        config.pluginmanager.register(Recorder(Path(page), config.getoption("--pc")))


@pytest.fixture
def golden(request):
    """Compare a text with a file in tests/model/golden/, or write it there with the option."""

    def compare(name, text):
        path = Path(__file__).parent / "model" / "golden" / name
        if request.config.getoption("--rewrite-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return compare
