"""docs/soak.md: what a soak test last did, a line for each, kept over partial runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

HEAD = """\
# What `make soak` last did

Stories that take longer than a CI run wants, each as it last ended: `make soak` writes this page,
and a part of it `.venv/bin/python -m pytest -m soak --record docs/soak.md -k part`. Seconds are
those of two busy cores without KVM. A story without a line was never run to its end.

| story | PC | on | ended | s |
| --- | --- | --- | --- | ---: |
"""


class Recorder:
    """Writes the page after each test, for a run of hours may be cut short: the rest stays."""

    def __init__(self, page: Path, release: str) -> None:
        self.page = page
        self.release = release
        self.lines: dict[tuple[str, str], str] = {}
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.removeprefix("tests/").replace("|", "\\|")
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration
        key = (name, self.release)
        if report.failed or (report.when == "call" and key not in self.lines):
            today = datetime.now(UTC).date()
            took = f"{self.seconds[name]:.0f}"
            self.lines[key] = f"{today} | {report.outcome} | {took}"
        if report.when == "teardown" and self.lines:
            kept = parse(self.page.read_text()) if self.page.exists() else {}
            self.page.write_text(render(kept | self.lines))


def parse(page: str) -> dict[tuple[str, str], str]:
    rows = [line.strip("| ").split(" | ", 2) for line in page.splitlines() if "::" in line]
    return {(name.strip("`"), release): rest for name, release, rest in rows}


def render(lines: dict[tuple[str, str], str]) -> str:
    return HEAD + "".join(
        f"| `{name}` | {release} | {rest} |\n" for (name, release), rest in sorted(lines.items())
    )
