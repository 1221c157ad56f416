"""News of files, by real inotify."""

import os
from pathlib import Path

import pytest

from phyllome_seat.system.file_events import FileEvents
from phyllome_seat.system.files import remove_file, write_file


@pytest.fixture
def events(tmp_path):
    events = FileEvents([str(tmp_path / "seats.yaml"), str(tmp_path / "none/at/all")])
    yield events
    events.close()


def test_a_file_that_is_written_replaced_or_removed_is_told_once(tmp_path, events):
    assert events.read() == ()
    path = str(tmp_path / "seats.yaml")
    (tmp_path / "seats.yaml").write_text("one")
    assert events.read() == (path,)
    write_file(path, b"two")
    write_file(path, b"three")
    assert events.read() == (path,)
    remove_file(path)
    assert events.read() == (path,)


def test_other_files_and_half_of_one_are_no_news(tmp_path, events):
    (tmp_path / "other").write_text("")
    with (tmp_path / "seats.yaml").open("w") as file:
        file.write("half")
        file.flush()
        os.fsync(file.fileno())
        assert events.read() == ()
    assert events.read() == (str(tmp_path / "seats.yaml"),)


def test_a_file_that_is_named_without_a_folder_is_heard_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = FileEvents(["seats.yaml"])
    (tmp_path / "seats.yaml").write_text("one")
    assert events.read() == ("seats.yaml",)
    events.close()


def test_of_a_link_the_file_it_leads_to_is_heard_also_when_it_leads_elsewhere(tmp_path):
    link = tmp_path / "etc/seats.yaml"
    for folder in ("etc", "one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("")
    link.symlink_to("../one/file")
    events = FileEvents([str(link)])

    (tmp_path / "one/file").write_text("new")
    assert events.read() == (str(link),)
    other = tmp_path / "etc/other"
    other.symlink_to("../two/file")
    other.rename(link)
    assert events.read() == (str(link),)
    (tmp_path / "two/file").write_text("new")
    assert events.read() == (str(link),)
    events.close()


def test_of_a_folder_every_file_is_told_and_its_own_end(tmp_path):
    folder = tmp_path / "qemu"
    folder.mkdir()
    events = FileEvents([str(tmp_path / "seats.yaml")], [str(folder), str(tmp_path / "none")])
    assert events.hears(str(folder))
    assert not events.hears(str(tmp_path / "none"))

    (folder / "left.pid").write_text("1")
    (tmp_path / "other").write_text("")
    (tmp_path / "seats.yaml").write_text("")
    assert set(events.read()) == {str(folder / "left.pid"), str(tmp_path / "seats.yaml")}
    (folder / "left.pid").unlink()
    folder.rmdir()
    assert events.read() == (str(folder / "left.pid"), str(folder))
    assert not events.hears(str(folder))
    events.close()


def test_when_the_kernel_lost_some_all_are_told(tmp_path):
    (tmp_path / "qemu").mkdir()
    events = FileEvents([str(tmp_path / "seats.yaml")], [str(tmp_path / "qemu")])
    with Path("/proc/sys/fs/inotify/max_queued_events").open() as most:
        for _ in range(int(most.read()) // 2 + 1):
            (tmp_path / "other").write_text("")
            (tmp_path / "other").unlink()
    (tmp_path / "qemu/left.xml").write_text("")
    assert set(events.read()) == {str(tmp_path / "seats.yaml"), str(tmp_path / "qemu")}
    events.close()
