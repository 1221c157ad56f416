"""A write by a program of its own: done once, or not at all, or left to the kernel."""

import os
import time
from pathlib import Path

import pytest

from phyllome_seat.system.process import start_time
from phyllome_seat.system.sysfs import Sysfs

HOST = Sysfs("/")


def test_the_text_arrives_in_one_write(tmp_path):
    os.mkfifo(tmp_path / "attribute")
    reader = os.open(tmp_path / "attribute", os.O_RDONLY | os.O_NONBLOCK)
    write = Sysfs(str(tmp_path)).begin_write("attribute")

    assert write.finish("0000:01:00.0", 5) == ""
    assert os.read(reader, 100) == b"0000:01:00.0"
    os.close(reader)


def test_the_kernel_s_complaint_comes_back_in_its_words():
    assert HOST.begin_write("dev/full").finish("x", 5) == "No space left on device"


def test_an_attribute_that_is_not_there_is_not_made(tmp_path):
    write = Sysfs(str(tmp_path)).begin_write("attribute")

    assert write.finish("x", 5) == "No such file or directory"
    assert not (tmp_path / "attribute").exists()


def test_nothing_is_written_before_the_word_is_given(tmp_path):
    path = tmp_path / "attribute"
    path.write_text("as it was")
    write = Sysfs(str(tmp_path)).begin_write("attribute")

    assert start_time(HOST, write.pid) is not None
    write.abandon()

    assert path.read_text() == "as it was"


def test_a_write_the_kernel_does_not_finish_is_left_alone_and_ends_later(tmp_path):
    os.mkfifo(tmp_path / "attribute")  # opening it waits for a reader: no signal needed, none sent
    write = Sysfs(str(tmp_path)).begin_write("attribute")
    begin_s = time.monotonic()

    assert write.finish("x", 0.3) is None
    assert 0.3 <= time.monotonic() - begin_s < 3
    started = start_time(HOST, write.pid)
    assert started is not None
    assert os.getsid(write.pid) == write.pid

    assert (tmp_path / "attribute").read_text() == "x"
    os.waitid(os.P_PID, write.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(HOST, write.pid) is None
    os.waitpid(write.pid, 0)


@pytest.mark.parametrize("name", ["a b", ") R 1 (", "\n"])
def test_a_process_may_have_any_name(name, tmp_path):
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/comm").write_text(name)
        time.sleep(30)
    end_s = time.monotonic() + 5
    while HOST.read(f"proc/{pid}/comm") != name.strip() and time.monotonic() < end_s:
        time.sleep(0.01)

    assert isinstance(start_time(HOST, pid), int)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
