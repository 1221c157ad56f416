from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests import recorded
from tests.record import Recorder

# How long an example takes says what else this machine does, and fails no test.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


LAB_ALONE = pytest.StashKey[bool]()
SUMMARY = "recorded/summary"  # in pytest's cache


def pytest_collection_finish(session):
    is_lab = [item.get_closest_marker("lab") is not None for item in session.items]
    session.config.stash[LAB_ALONE] = bool(is_lab) and all(is_lab)


def pytest_terminal_summary(terminalreporter):
    """Say what of the recorded data was tested; the lab's tests read none of it."""
    config = terminalreporter.config
    cache = getattr(config, "cache", None)  # which pytest may be told to do without
    if not config.stash.get(LAB_ALONE, False):
        if cache:
            cache.set(SUMMARY, recorded.summary())
        terminalreporter.write_line(recorded.summary())
    elif cache and (summary := cache.get(SUMMARY, None)):
        terminalreporter.write_line(f"{summary} (the last run of tests that need no PC)")


def pytest_sessionfinish(session):
    """Hand what was counted to the process that sums up (pytest-xdist)."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tested"] = recorded.tested()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    for kind, names in getattr(node, "workeroutput", {}).get("tested", {}).items():
        for name in names:
            recorded.count_tested(kind, name)


def pytest_addoption(parser):
    parser.addoption(
        "--rewrite-golden", action="store_true", help="write golden files anew; review the diff"
    )
    parser.addoption(
        "--failed-files",
        action="store_true",
        help="only files in which a test failed last time, whole: a story is told in order",
    )
    parser.addoption("--record", metavar="PAGE", help="write what each test did on this page")
    parser.addoption(
        "--pc",
        default="trixie",
        choices=("trixie", "bookworm", "forky"),
        help="the Debian release that the lab's PC runs",
    )
    parser.addoption(
        "--modular",
        metavar="TAR",
        help="have libvirt's own QEMU daemon in the PC, of what build_virtqemud.sh made",
    )


def pytest_configure(config):
    if page := config.getoption("--record"):
        config.pluginmanager.register(Recorder(Path(page), config.getoption("--pc")))


def pytest_collection_modifyitems(config, items):
    if config.getoption("--failed-files"):
        failed = {name.partition("::")[0] for name in config.cache.get("cache/lastfailed", {})}
        again = [item for item in items if item.nodeid.partition("::")[0] in failed]
        config.hook.pytest_deselected(items=[item for item in items if item not in again])
        items[:] = again


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
