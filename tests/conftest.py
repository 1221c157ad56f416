from __future__ import annotations

from tests import recorded


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(recorded.summary())
