"""The lab's small parts, without a PC: EDID, keys, the wheel, places, progress."""

import io
import os
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.lab import places, wheel
from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.description import Screen
from phyllome_seat.lab.edid import render_edid
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.keys import strokes
from phyllome_seat.lab.pc import Pc
from phyllome_seat.lab.places import key, locked, made_whole, prune, remove
from phyllome_seat.lab.progress import Progress
from phyllome_seat.model.edid import parse_edid
from tests.lab.conftest import EXAMPLE

PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=13)


@given(
    name=PLAIN,
    serial=PLAIN,
    maker=st.text("ABCXYZ", min_size=3, max_size=3),
    product=st.integers(0, 0xFFFF),
)
def test_a_written_edid_is_read_back(name, serial, maker, product):
    monitor = parse_edid(render_edid(Screen(name, serial, maker, product, 1280, 800)))
    assert monitor.name == name
    assert monitor.maker == maker
    assert monitor.product == product
    assert monitor.serial == serial
    assert monitor.preferred == (1280, 800)
    assert monitor.warnings == ()


def test_every_printable_character_has_a_key():
    for character in map(chr, range(32, 127)):
        assert strokes(character)
    assert strokes("A") == ("shift", "a")
    assert strokes("?") == ("shift", "slash")
    with pytest.raises(ValueError, match="no key"):
        strokes("é")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel of the source tree."""
    return wheel.build_wheel(tmp_path_factory.mktemp("wheel"))


def test_a_wheel_of_the_source_tree_holds_its_modules(built):
    names = zipfile.ZipFile(built).namelist()
    assert "phyllome_seat/lab/pc.py" in names
    assert "phyllome_seat/lab/data/setup.sh" in names
    assert not [name for name in names if "__pycache__" in name]


def test_an_installed_project_gives_the_same_wheel_again(built, tmp_path):
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(built)], check=True)
    again = tmp_path / "again"
    again.mkdir()
    code = (
        "import sys; from pathlib import Path; from phyllome_seat.lab import wheel;"
        "assert wheel.wheel_key(); print(wheel.build_wheel(Path(sys.argv[1])))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(again)],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    (second,) = again.glob("*.whl")
    contents = [
        {
            name: archive.read(name)
            for name in archive.namelist()
            if not name.endswith("RECORD") and not name.endswith("/")
        }
        for archive in (zipfile.ZipFile(built), zipfile.ZipFile(second))
    ]
    assert contents[1] == contents[0]


def test_a_thing_half_made_is_never_there(tmp_path):
    wanted = tmp_path / "image"

    def fail():
        with made_whole(wanted) as scratch:
            (scratch / "half").write_text("")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_removed_and_a_missing_one_is_no_error(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    remove(tmp_path / "a")
    remove(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_the_least_recently_used_go_first(tmp_path):
    for age, name in enumerate(("x-new", "x-old", "x-older", "y-other")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    prune(tmp_path, "x-*", keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x-new", "y-other"]


def test_a_second_pc_in_one_process_is_refused_instead_of_waited_for(tmp_path):
    lock = tmp_path / "lock"
    with locked(lock, print), pytest.raises(LabError, match="this process runs a PC already"):
        locked(lock, print).__enter__()
    with locked(lock, print):
        pass


def test_another_process_is_waited_for_and_named(tmp_path):
    lock = tmp_path / "lock"
    said = []
    code = (
        "import sys, time; from pathlib import Path; from phyllome_seat.lab.places import locked\n"
        "with locked(Path(sys.argv[1]), print):\n print('held', flush=True); time.sleep(1)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    other.stdout.readline()
    with locked(lock, said.append):
        pass
    other.communicate()
    assert said == [f"waiting for process {other.pid}, which has lock"]


def test_a_key_changes_with_every_part():
    assert key("a", 1) == key("a", 1)
    assert len({key("a", 1), key("a", 2), key("a1")}) == 3


def test_progress_is_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    with Progress(stream) as say:
        say("building")
        say("booting")
    assert [line.split("] ")[1] for line in stream.getvalue().splitlines()] == [
        "building",
        "booting",
    ]


def test_a_pc_that_does_not_come_up_is_told_with_the_end_of_its_console(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    with ExitStack() as cleanup:
        pc = Pc(read_description(EXAMPLE), None, print, cleanup)
        boot = [f"[{n}] line {n}" for n in range(100)]
        said = "\r\n".join([*boot, "\x1b[1;31mKernel panic\x1b[0m - not syncing"])
        (pc.directory / "serial.log").write_text(said)

        error = pc._not_up("the PC's agent did not answer within 60 s")

        assert str(error).startswith("the PC's agent did not answer within 60 s; the last lines")
        assert str(error).endswith("[99] line 99\nKernel panic - not syncing")
        assert "line 99" in str(error) and "line 10\n" not in str(error)
        kept = Path(error.hint.removeprefix("all of it is in "))
        assert kept.read_bytes().decode() == said
    assert not list(places.run_directory().iterdir())
