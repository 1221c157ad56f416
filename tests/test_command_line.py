"""The command line: what it takes, what it says no to, and how it is laid out."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from phyllome_seat import cli
from phyllome_seat.cli import look
from phyllome_seat.cli.lend import _parse_until
from phyllome_seat.cli.line import USAGE, render_help
from phyllome_seat.cli.parser import _main_parser
from phyllome_seat.model.host_json import render_host
from phyllome_seat.model.seat_file import render_wish
from phyllome_seat.system import listen
from tests.model.hosts import LEFT_GPU, two_seat_pc, two_seat_wish, with_function
from tests.model.test_check import healthy_pc

COMMAND = [sys.executable, "-m", "phyllome_seat.cli"]


def test_a_command_gets_the_options_before_and_after_its_name():
    args = cli.parse_line(
        ["--sysroot", "/etc", "start", "left", "right", "-f", "a.yaml", "--wait", "3"]
    )

    assert (args.sysroot, args.file, args.seats, args.wait) == (
        "/etc",
        "a.yaml",
        ["left", "right"],
        3.0,
    )
    assert (args.run.__module__, args.run.__name__) == ("phyllome_seat.cli.change", "start")


def test_the_lab_reads_its_own_line():
    assert cli.parse_line(["lab", "run", "--help"]).rest == ["run", "--help"]


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["scna"],
        ["scan", "--jsno"],
        ["scan", "--sysroot", "/etc"],
        ["--sysroot"],
        ["--sysroot", "/etc/passwd", "scan"],
    ],
)
def test_a_wrong_line_is_refused_with_status_2(line, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.parse_line(line)

    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("usage: phyllome-seat")


@pytest.mark.parametrize("line", [["--help"], ["-h"], ["--sysroot", "/etc", "--help"]])
def test_help_names_every_command_on_a_line_of_its_own(line, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.parse_line(line)

    lines = capsys.readouterr().out.splitlines()
    assert not exit_.value.code
    for name, (words, _, _) in cli.COMMANDS.items():
        assert f"  {name:10}{words}" in lines


def test_help_names_every_option_before_a_command():
    for action in _main_parser()._actions:
        for option in action.option_strings:
            assert f" {option}" in render_help()
            assert f"[{option}" in USAGE or option == "--help"


def imported(line):
    """Return what a command that ends well has imported, in a process of its own."""
    code = f"import sys; from phyllome_seat.cli import main\ntry: main({line})\n"
    code += "finally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True
    )
    return {*done.stderr.split()}


def test_help_needs_no_argparse():
    assert not {"argparse", "re", "gettext", "importlib"} & imported(["--help"])


def test_a_scan_imports_nothing_that_takes_long(tmp_path):
    slow = {"dataclasses", "inspect", "typing", "json", "contextlib", "pathlib"}

    assert not slow & imported(["--sysroot", str(tmp_path), "scan", "--json"])


@pytest.mark.parametrize("line", [[], *([name] for name in cli.COMMANDS if name != "lab")])
def test_help_fits_a_terminal_of_80_columns(line, capsys):
    with pytest.raises(SystemExit):
        cli.parse_line([*line, "--help"])

    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_what_the_terminal_cannot_show_ends_no_command(tmp_path):
    host = with_function(two_seat_pc(), LEFT_GPU, device_name="Größe")
    (tmp_path / "host.json").write_text(render_host(host))
    (tmp_path / "seats.yaml").write_text(render_wish(two_seat_wish()))

    done = subprocess.run(
        [*COMMAND, "plan", "--host", "host.json", "-f", "seats.yaml"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"(Gr\xf6\xdfe)" in done.stdout


@pytest.fixture
def plan(tmp_path, capsys):
    """Run `plan` for a seat file on the PC of the fast tests; returns status, output, complaint."""
    host = tmp_path / "host.json"
    host.write_text(render_host(two_seat_pc()))

    def run(seat_file):
        file = tmp_path / "seats.yaml"
        file.write_text(seat_file)
        status = cli.main(["plan", "-f", str(file), "--host", str(host)])
        said = capsys.readouterr()
        return status, said.out, said.err.replace(str(file), "seats.yaml")

    return run


def test_a_plan_for_a_pc_one_does_not_sit_at_is_printed_with_status_0(plan):
    status, said, complaint = plan(render_wish(two_seat_wish()))

    assert (status, complaint) == (0, "")
    assert "bind 0000:01:00.0" in said


def test_a_seat_file_that_is_wrong_has_status_2_and_every_problem_its_line(plan):
    text = render_wish(two_seat_wish())
    wrong = text.replace("gpu:", "gpuu:").replace("version: 1", "version: one")

    status, said, complaint = plan(wrong)

    assert (status, said) == (2, "")
    lines = [line for line in complaint.splitlines() if line.startswith("phyllome-seat: ")]
    assert lines[0].startswith("phyllome-seat: seats.yaml:1: version: expected 1, found 'one'")
    assert [line.rpartition(", found ")[2] for line in lines[1:]] == ["'gpuu'", "'gpuu'"]
    assert complaint.count("  (did you mean gpu?)\n") == 2


def test_a_seat_file_that_does_not_fit_the_pc_has_status_1(plan):
    text = render_wish(two_seat_wish()).replace("0000:01:00.0", "0000:09:00.0")

    status, said, complaint = plan(text)

    assert (status, said) == (1, "")
    assert complaint.startswith("phyllome-seat: 0000:09:00.0 is not 10de:2786, nothing is there")
    assert complaint.endswith("  (`phyllome-seat scan` shows what is where)\n")


@pytest.mark.parametrize("command", ["apply", "revert", "start", "stop", "confirm"])
def test_who_is_not_root_is_refused_what_changes_the_machine(
    command, tmp_path, monkeypatch, capsys
):
    file = tmp_path / "seats.yaml"
    file.write_text("version: 1\nseats: {}\n")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    takes_file = command in ("apply", "start", "stop")

    status = cli.main([command, *(["-f", str(file)] if takes_file else [])])

    said = capsys.readouterr().err
    assert status == 1
    assert said.endswith(": only root may\n  (run it with sudo)\n")


def test_nothing_is_changed_below_another_root(tmp_path, capsys):
    assert cli.main(["--sysroot", str(tmp_path), "revert"]) == 2
    assert f"only on this machine, not below {tmp_path}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_check_ends_with_0_where_nothing_is_in_the_way(tmp_path, capsys):
    (tmp_path / "pc.json").write_text(render_host(healthy_pc()))

    assert cli.main(["check", "--host", str(tmp_path / "pc.json")]) == 0
    assert "error" not in capsys.readouterr().out


def test_scan_draws_the_pc(tmp_path):
    root, drawing = tmp_path / "root", tmp_path / "pc.svg"
    (root / "sys").mkdir(parents=True)

    assert cli.main(["--sysroot", str(root), "scan", "--svg", str(drawing)]) == 0
    assert ElementTree.parse(drawing).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_a_report_of_a_pc_is_a_pc_to_check(tmp_path, capsys):
    report = tmp_path / "pc.json"
    kernel = tmp_path / "root/proc/sys/kernel/osrelease"
    kernel.parent.mkdir(parents=True)
    kernel.write_text("6.12.1-amd64")

    written = cli.main(["--sysroot", str(tmp_path / "root"), "check", "--report", str(report)])
    checked = cli.main(["check", "--host", str(report), "--json"])

    assert (written, checked) == (0, 1)
    assert '"subject": "libvirt"' in capsys.readouterr().out
    assert cli.main(["check", "--report", str(report)]) == 2  # written over nothing


@pytest.mark.parametrize(
    ("text", "until"),
    [
        (None, (None, None)),
        ("stop", ("stop", None)),
        ("unplug", ("unplug", None)),
        ("90s", ("time", 90.0)),
        ("30m", ("time", 1800.0)),
        ("2h", ("time", 7200.0)),
    ],
)
def test_how_long_a_lend_is_to_last_is_read(text, until):
    assert _parse_until(text) == until


@pytest.mark.parametrize("text", ["", "m", "30", "-5m", "1.5h", "٣m", "9999999s", "soon"])
def test_a_lend_until_something_else_is_refused_before_anything_is_asked(text, capsys):
    assert cli.main(["attach", "1-4", "left", f"--until={text}"]) == 2
    assert "a time like 90s, 30m, 2h" in capsys.readouterr().err


def test_status_is_drawn_again_with_each_news_until_ctrl_c(monkeypatch, capsys):
    waits, shown = [], []

    class News:
        def __init__(self, uri, files, *, read_only):
            assert read_only and "/run/phyllome-seat/lends" in files

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            waits.append("closed")

        def wake(self):
            pass

        async def wait(self, timeout_s):
            waits.append(timeout_s)
            if len(waits) > 4:
                raise KeyboardInterrupt

    monkeypatch.setattr(listen, "Listening", News)
    monkeypatch.setattr(look, "_show_status", lambda args: shown.append(args.command))

    assert cli.main(["status", "--follow"]) == 0
    assert (len(shown), waits) == (2, [None, 0, None, 0, None, "closed"])
    assert "\x1b" not in capsys.readouterr().out  # no terminal: nothing is cleared


@pytest.mark.parametrize("time", ["nan", "inf", "-1", "1e9", "soon"])
def test_a_time_that_is_none_is_refused(time, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.parse_line(["identify", "--timeout", time])

    assert exit_.value.code == 2
    assert "--timeout: invalid seconds value" in capsys.readouterr().err


def test_an_option_that_is_there_and_empty_is_no_option_that_is_missing(capsys):
    assert cli.main(["plan", "--host", ""]) == 2
    assert cli.main(["plan", "-f", ""]) == 2
    assert "No such file" in capsys.readouterr().err


def test_a_disk_that_is_full_is_said_in_a_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "phyllome_seat.cli", "--sysroot", "/etc", "scan"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, "phyllome-seat: No space left on device\n")


def test_more_seats_than_anybody_has_are_refused_at_once(capsys):
    assert cli.main(["propose", "--seats", "65"]) == 2
    assert "--seats 65: 64 at most" in capsys.readouterr().err


def test_a_card_and_none_at_all_are_not_asked_for_together(tmp_path, capsys):
    host = tmp_path / "host.json"
    host.write_text(render_host(two_seat_pc()))
    card = f"left:gpu={LEFT_GPU}"

    assert cli.main(["propose", "--host", str(host), "--seat", card, "--seat", "left:virtio"]) == 2
    assert "gpu names a card and virtio asks for none" in capsys.readouterr().err
    assert cli.main(["propose", "--host", str(host), "--seat", card, "-o", "-"]) == 0
    assert capsys.readouterr().out.startswith("#")
