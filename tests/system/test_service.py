"""What the service tells systemd, and its unit."""

import os
import socket
from pathlib import Path

import pytest

from phyllome_seat.system.service import NAME, _quote, find_watchdog_s, notify
from phyllome_seat.system.state import HEADER

UNIT = Path(__file__).parents[2] / "udev" / NAME


def test_systemd_is_told_over_its_socket(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")


def test_the_watchdog_is_fed_before_it_asks(monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert find_watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "600000000")
    assert find_watchdog_s() == pytest.approx(450.0)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert find_watchdog_s() is None


def test_the_unit_is_ours_by_its_header_and_sees_udevs_network():
    text = UNIT.read_text()
    assert text.startswith(HEADER)
    assert "\nExecStart=/usr/bin/phyllome-seat watch\n" in text
    assert "PrivateNetwork" not in [line.partition("=")[0] for line in text.splitlines()]


def test_a_path_with_a_space_and_a_percent_stays_one_word():
    assert _quote("/opt/my seats/a%b") == '"/opt/my seats/a%%b"'
    assert _quote("/usr/bin/phyllome-seat") == "/usr/bin/phyllome-seat"
