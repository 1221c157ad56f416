from types import SimpleNamespace

from tests.record import Recorder, parse, render

OLD = {("lab/a.py::one", "trixie"): "2026-01-01 | passed | 7"}


def report(name, when, outcome, duration):
    failed = outcome == "failed"
    return SimpleNamespace(
        nodeid=f"tests/{name}", when=when, outcome=outcome, duration=duration, failed=failed
    )


def test_a_page_reads_back_as_what_was_written():
    assert parse(render(OLD)) == OLD


def test_what_ran_is_new_and_the_rest_stays(tmp_path):
    page = tmp_path / "soak.md"
    page.write_text(render(OLD))
    recorder = Recorder(page, "forky")
    recorder.pytest_runtest_logreport(report("lab/b.py::two[1]", "setup", "passed", 2.0))
    recorder.pytest_runtest_logreport(report("lab/b.py::two[1]", "call", "passed", 3.0))
    recorder.pytest_runtest_logreport(report("lab/b.py::two[1]", "teardown", "failed", 0.0))
    recorder.pytest_runtest_logreport(report("lab/c.py::three", "setup", "failed", 1.0))
    assert len(parse(page.read_text())) == 2  # a run that is cut short has what it did
    recorder.pytest_runtest_logreport(report("lab/c.py::three", "teardown", "passed", 0.0))

    lines = parse(page.read_text())
    assert lines.keys() == {
        ("lab/a.py::one", "trixie"),
        ("lab/b.py::two[1]", "forky"),
        ("lab/c.py::three", "forky"),
    }
    assert lines["lab/a.py::one", "trixie"] == "2026-01-01 | passed | 7"
    assert lines["lab/b.py::two[1]", "forky"].endswith("failed | 5")
    assert lines["lab/c.py::three", "forky"].endswith("failed | 1")
