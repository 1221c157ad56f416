"""The conversation of `init`, on whatever machine the tests run: a seat of nothing fits any."""

import argparse
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from phyllome_seat import cli
from phyllome_seat.cli.init import _converse as converse
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.seat_file import render_wish
from tests.model.hosts import HOST_GPU, LEFT_GPU, two_seat_pc, two_seat_wish

NOTHING = (
    "--seat",
    "left:keyboard=none",
    "--seat",
    "left:monitor=none",
    "--seat",
    "left:guest=none",
)
FILE = "version: 1\nseats:\n  left: {}\n"


@pytest.fixture
def init(tmp_path, monkeypatch, capsys):
    """Run `init` for a file of its own; returns status, output, complaint."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    path = tmp_path / "etc" / "seats.yaml"

    def run(*words):
        status = cli.main(["--connect", "none:///", "init", "-f", str(path), *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    run.path = path
    return run


def test_options_alone_write_the_file_and_show_the_plan(init):
    status, said, complaint = init("--seats", "left", *NOTHING, "--yes")

    assert (status, complaint) == (0, "")
    assert init.path.read_text() == FILE
    assert FILE in said
    assert "would do:" in said


def test_the_second_time_nothing_is_written(init):
    init("--seats", "left", *NOTHING, "--yes")
    written = init.path.stat().st_mtime_ns

    status, said, _ = init("--seats", "left", *NOTHING, "--yes")

    assert status == 0
    assert "says that already" in said
    assert init.path.stat().st_mtime_ns == written


def test_a_file_that_is_there_and_fits_is_left_alone(init):
    init("--seats", "left", *NOTHING, "--yes")
    init.path.write_text("# mine\n" + FILE)

    status, said, _ = init()

    assert status == 0
    assert "is where it says" in said
    assert init.path.read_text() == "# mine\n" + FILE


def test_a_file_that_is_there_is_replaced_only_with_its_difference_shown(init, monkeypatch):
    init("--seats", "left", *NOTHING, "--yes")
    again = ("--seats", "left,right", *NOTHING, *(w.replace("left:", "right:") for w in NOTHING))
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115 - nobody to ask

    status, said, _ = init(*again, "--seat", "left:mouse=none", "--seat", "right:mouse=none")

    assert status == 1
    assert "+  right: {}" in said
    assert "nothing was written" in said
    assert init.path.read_text() == FILE


def test_what_moved_away_for_good_is_said_and_the_file_left(init):
    init.path.parent.mkdir()
    gone = FILE.replace("{}", '\n    gpu: {pci: "0000:7f:1f.7", id: "dead:beef"}')
    init.path.write_text(gone)

    status, said, _ = init("--yes")

    assert status == 1
    assert "no dead:beef is in this PC" in said
    assert init.path.read_text() == gone


@pytest.mark.parametrize("yes", [True, False])
def test_what_moved_is_shown_as_a_difference_and_the_comments_are_kept(init, monkeypatch, yes):
    for module in ("init", "look"):
        monkeypatch.setattr(f"phyllome_seat.cli.{module}.read_host", lambda *_, **__: two_seat_pc())
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115 - nobody to ask
    now = "# mine\n" + render_wish(two_seat_wish()).replace("seats:", "seats:  # ours", 1)
    before = now.replace(LEFT_GPU, "0000:7f:00.0")
    init.path.parent.mkdir()
    init.path.write_text(before)

    status, said, _ = init(*["--yes"] * yes)

    assert f"is at {LEFT_GPU}" in said
    (minus,) = (line for line in said.splitlines() if line.startswith("-  "))
    (plus,) = (line for line in said.splitlines() if line.startswith("+  "))
    assert "0000:7f:00.0" in minus and LEFT_GPU in plus
    assert (status, init.path.read_text()) == ((0, now) if yes else (1, before))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--seats", "Left", "--yes"), "'Left' is no seat's name"),
        (("--seats", "left", *NOTHING[2:], "--yes"), "left.keyboard is not known"),
        (("--seat", "left-keyboard"), "expected NAME:KEY=VALUE"),
        (("--seat", "left:colour=red"), "expected NAME:KEY=VALUE"),
        (
            ("--seats", "left", *NOTHING, "--seat", "right:guest=none", "--yes"),
            "right.guest was answered and not asked",
        ),
        (("--seats", "left", *NOTHING[2:], "--seat", "left:keyboard=ps2", "--yes"), "USB port"),
    ],
)
def test_an_option_that_does_not_fit_has_status_2_and_nothing_is_written(init, words, complaint):
    status, _, said = init(*words)

    assert status == 2
    assert complaint in said
    assert not init.path.parent.exists()


def test_a_seat_file_that_is_wrong_is_said_with_its_line(init):
    init.path.parent.mkdir()
    init.path.write_text("version: 1\nseat: {}\n")

    status, _, complaint = init()

    assert status == 2
    assert "seats.yaml:2" in complaint


def found_by_check(capsys):
    """What `check` itself says of this machine, without notes."""
    cli.main(["--connect", "none:///", "check"])
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if not line.startswith("note: ")]


def test_what_check_finds_is_said_before_all_else_and_errors_again_at_the_end(init, capsys):
    findings = found_by_check(capsys)
    errors = [line for line in findings if line.startswith("error: ")]

    status, said, _ = init("--seats", "left", *NOTHING, "--yes")

    lines = said.splitlines()
    assert (status, lines[: len(findings)]) == (0, findings)
    last = lines[-1] if errors else "before seats work: "
    assert last.startswith("before seats work: ")
    for error in errors:
        subject, _, words = error.removeprefix("error: ").partition(": ")
        assert f"{subject}: {words.partition(' [')[0]}" in last


def test_where_a_file_is_there_what_check_finds_comes_before_what_became_of_it(init, capsys):
    findings = found_by_check(capsys)
    init("--seats", "left", *NOTHING, "--yes")

    _, said, _ = init()

    lines = said.splitlines()
    assert lines[: len(findings)] == findings
    assert any("is where it says" in line for line in lines[len(findings) :])


# ── what the host gives up, on a PC of which nobody is asked but for this ───────────────────────

LAST_CARD = {
    **dict.fromkeys(("left.keyboard", "left.mouse", "left.guest"), "none"),
    "seats": "left",
    "left.monitor": "1",
}


def settle(monkeypatch, typed="", **options):
    """The seat file for a seat that is to have the card with the host's console."""
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    with open(theirs) as terminal:  # noqa: PTH123 - a descriptor has no path
        monkeypatch.setattr("sys.stdin", terminal)
        text = ask(**options)
    os.close(ours)
    return text


def ask(**options):
    args = argparse.Namespace(**{"console": None, "yes": False, **options})
    return render_wish(converse(args, two_seat_pc(), dict(LAST_CARD), None))


def test_what_the_host_gives_up_is_said_asked_for_and_named_in_the_file(monkeypatch, capsys):
    text = settle(monkeypatch, "yes\n")

    said = capsys.readouterr().out
    assert f"{HOST_GPU} (UHD Graphics 770), which shows the host's console" in said
    assert said.index("shows the host's console") < said.index("Give these up?")
    assert "  console: none\n  gives-up:\n" in text
    assert f'    - function: {{pci: "{HOST_GPU}", id: "8086:a780"}}\n' in text


def test_the_option_that_gives_the_console_up_names_it_in_the_file_too(monkeypatch, capsys):
    text = settle(monkeypatch, console="none", yes=True)

    assert "which shows the host's console" in capsys.readouterr().out
    assert f'    - function: {{pci: "{HOST_GPU}", id: "8086:a780"}}\n' in text


@pytest.mark.parametrize("options", [{"yes": True}, {"console": "keep"}, {}])
def test_without_a_yes_to_just_that_nothing_is_given_up(monkeypatch, options):
    with pytest.raises(AssignmentError, match="shows the host's console"):
        settle(monkeypatch, "no\n", **options)


# ── in a terminal ───────────────────────────────────────────────────────────────────────────────

PROGRAM = (
    "import os, sys; os.geteuid = lambda: 0; from phyllome_seat.cli import main; sys.exit(main())"
)


class Person:
    """Somebody who reads a terminal and types into it."""

    def __init__(self, path):
        self.seen = ""
        words = ("--connect", "none:///", "init", "-f", str(path))
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", PROGRAM, *words])

    def read_until(self, words):
        deadline = time.monotonic() + 20
        while words not in self.seen:
            assert time.monotonic() < deadline, self.seen
            try:
                self.seen += os.read(self.fd, 4096).decode()
            except OSError:
                raise AssertionError(f"it ended without {words!r}: {self.seen}") from None

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """Return the exit status, once all was read; its end is waited for, not for ever."""
        deadline = time.monotonic() + 20
        while True:
            if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                os.kill(self.pid, signal.SIGKILL)
            try:
                if not (read := os.read(self.fd, 4096)):
                    break
                self.seen += read.decode()
            except OSError:
                break
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def answer_all(person):
    person.read_until("the seats' names")
    person.type("Left!\n")
    person.read_until("is no seat's name")
    person.type("left\n")
    person.read_until("press a key on the keyboard of seat left")
    time.sleep(0.5)
    person.type("\x1b")
    person.read_until("click the mouse of seat left")
    time.sleep(0.5)
    person.type("\x1b")
    person.read_until("the number of the monitor of seat left")
    person.type("none\n")
    person.read_until("the guest of seat left")
    person.type("none\n")
    person.read_until("Type yes to go on:")


def test_a_person_answers_in_a_terminal_and_the_file_is_written_after_a_yes(tmp_path):
    person = Person(tmp_path / "seats.yaml")
    answer_all(person)
    assert not (tmp_path / "seats.yaml").exists()

    person.type("yes\n")

    assert person.end() == 0, person.seen
    assert (tmp_path / "seats.yaml").read_text() == FILE
    assert "would do:" in person.seen
    assert "^[" not in person.seen  # nothing that was pressed is shown


def test_without_a_yes_nothing_is_written(tmp_path):
    person = Person(tmp_path / "seats.yaml")
    answer_all(person)

    person.type("no\n")

    assert person.end() == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["the seats' names", "press a key"])
def test_ctrl_c_leaves_nothing_changed(tmp_path, moment):
    person = Person(tmp_path / "seats.yaml")
    person.read_until("the seats' names")
    if moment == "press a key":
        person.type("left\n")
        person.read_until(moment)

    time.sleep(0.5)  # between its prompt and its read, input() does not notice a signal
    person.type("\x03")

    assert person.end() == 130
    assert list(tmp_path.iterdir()) == []
    assert not re.search("Traceback|Error", person.seen)


def test_a_press_that_does_not_come_ends_it_and_nothing_is_changed(init):
    status, _, complaint = init("--seats", "left", "--timeout", "0.3")

    assert status == 1
    assert "no key or button was pressed within 0.3 s" in complaint
    assert not init.path.parent.exists()


def test_a_signal_leaves_nothing_changed(tmp_path):
    person = Person(tmp_path / "seats.yaml")
    person.read_until("the seats' names")
    time.sleep(0.5)
    os.kill(person.pid, signal.SIGTERM)

    assert person.end() == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_answers_may_come_from_a_pipe_and_its_end_is_said(tmp_path):
    path = tmp_path / "seats.yaml"
    command = [sys.executable, "-c", PROGRAM, "--connect", "none:///", "init", "-f", str(path)]

    done = subprocess.run(
        [*command, *NOTHING[:4], "--seat", "left:mouse=none"],
        input="left\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "left.guest was not answered: nothing was changed" in done.stderr
    assert not path.exists()
