"""Numbers on monitors whose card a desktop has: the kernel refuses, and each number says why.

What is not here is the kernel's: a card's node, and its answer to DRM_IOCTL_SET_MASTER. It says
EBUSY while somebody else is master, EACCES to who may not become it (drivers/gpu/drm/drm_auth.c).
"""

import errno
import json
import mmap
import os
import socket
import time
from pathlib import Path

import pytest

from phyllome_seat import cli
from phyllome_seat.cli.init import _show_numbers
from phyllome_seat.model.digits import draw_number, number_rectangles
from phyllome_seat.model.monitors import HELD, numbered
from phyllome_seat.system import drm, holders, wayland
from phyllome_seat.system.identify_monitors import show_numbers
from phyllome_seat.system.scan import scan
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.terminal import wait_enter
from tests.system.device_trees import connector, edid, pci
from tests.system.trees import Link, make_tree

HELD_CARD, LOST_CARD = "pci0000:00/0000:01:00.0", "pci0000:00/0000:02:00.0"
DESKTOP = f"{HELD}: run this on a text console (Ctrl+Alt+F3)"


@pytest.fixture
def tree(tmp_path):
    """Two cards with a monitor each, of which the second has no node of its own."""
    cards = {HELD_CARD: ("card1", "DELL U2720Q"), LOST_CARD: ("card2", "LG")}
    files = {}
    for path, (card, name) in cards.items():
        files |= pci(path, identity="10DE:2786", class_code="30000", driver="nouveau")
        files |= connector(f"{path}/drm/{card}/{card}-DP-1", edid=edid(name=name))
        files[f"sys/class/drm/{card}"] = Link(f"sys/devices/{path}/drm/{card}")
    return make_tree(tmp_path, files)


@pytest.fixture
def kernel(monkeypatch):
    """The kernel's side of a card that somebody else is master of; holds what was opened."""
    opened = []
    open_any = os.open

    def open_card(path, flags, *rest, **more):
        if not str(path).startswith("/dev/dri/"):
            return open_any(path, flags, *rest, **more)
        if path != "/dev/dri/card1":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        opened.append(open_any(os.devnull, flags))
        return opened[-1]

    def refuse(number):
        def ioctl(fd, request, *_):
            assert (fd, request) == (
                opened[-1],
                0x641E,
            )  # nothing is asked of a card that is not ours
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(drm, "ioctl", ioctl)
        return opened

    monkeypatch.setattr(os, "open", open_card)
    return refuse


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES], ids=["EBUSY", "EACCES"])
def test_a_card_that_a_desktop_has_is_left_alone_and_its_monitor_says_what_to_do(
    tree, kernel, number
):
    opened = kernel(number)

    with show_numbers(tree, numbered(scan(tree))) as shown:
        assert shown.dark == {1: DESKTOP, 2: os.strerror(errno.ENOENT)}

    assert len(opened) == 1
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(opened[0])


class FakeDesktop:
    """A desktop that has DP-1; the protocol itself is tried with a real one, in the lab."""

    why: str | None = None

    def __init__(self, path):
        assert path == "/run/user/1000/wayland-0"
        self.shown, self.is_there = [], True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_there = False

    def show(self, connector, number):
        if self.why:
            raise OSError(self.why)
        self.shown.append((connector, number))


@pytest.fixture
def desktop(monkeypatch):
    asked = []
    monkeypatch.setattr(holders, "find_owners", lambda node: asked.append(node) or (1000,))
    monkeypatch.setattr(
        wayland, "find_desktops", lambda users: [f"/run/user/{n}/wayland-0" for n in users]
    )
    monkeypatch.setattr(wayland, "Desktop", type("Desktop", (FakeDesktop,), {}))
    yield wayland.Desktop
    assert set(asked) <= {"/dev/dri/card1"}


def test_a_desktop_that_has_the_card_shows_the_number_in_a_window(tree, kernel, desktop):
    kernel(errno.EBUSY)

    with show_numbers(tree, numbered(scan(tree))) as shown:
        assert shown.dark == {2: os.strerror(errno.ENOENT)}
        assert [one.shown for one in shown.desktops] == [[("DP-1", 1)]]

    assert not shown.desktops[0].is_there


def test_what_a_desktop_cannot_show_is_told_with_the_way_out(tree, kernel, desktop):
    kernel(errno.EBUSY)
    desktop.why = "its desktop did not show it there"

    with show_numbers(tree, numbered(scan(tree))) as shown:
        assert shown.dark[1] == f"{HELD}: {desktop.why}; run this on a text console (Ctrl+Alt+F3)"


def test_a_desktop_cannot_be_asked_without_its_binding_which_is_named(
    tree, kernel, desktop, monkeypatch
):
    kernel(errno.EBUSY)

    def refuse(_):
        raise wayland.NoWaylandError

    monkeypatch.setattr(wayland, "Desktop", refuse)
    with show_numbers(tree, numbered(scan(tree))) as shown:
        assert shown.dark[1].startswith(f"{HELD}: install pywayland (")
        assert shown.desktops == []


def test_only_sockets_of_users_who_have_the_card_are_desktops(tmp_path, monkeypatch):
    monkeypatch.setattr(wayland, "_RUN", str(tmp_path))
    for user in ("1000", "1001"):
        (tmp_path / user).mkdir()
    (tmp_path / "1000/wayland-0.lock").touch()
    (tmp_path / "1000/wayland-1").symlink_to(tmp_path / "1001/wayland-0")
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(str(tmp_path / "1000/wayland-0"))
        other.bind(str(tmp_path / "1001/wayland-0"))
        assert [*wayland.find_desktops((1000, 1002, 1000))] == [str(tmp_path / "1000/wayland-0")]


@pytest.mark.parametrize(
    "size", [None, (0, 0), (-9000, -9000), (1, 1 << 26), (1 << 26, 1), (1 << 15, 1 << 15)]
)
def test_a_window_of_a_size_that_no_screen_has_is_refused(size):
    window = object.__new__(wayland._Window)
    window.size = size

    with pytest.raises(OSError, match="its desktop gives a window of"):
        window.draw(1)


@pytest.mark.parametrize("number", [1, 8, 42, 188])
@pytest.mark.parametrize("size", [(64, 64), (64, 4096), (4096, 64), (800, 600)])
def test_a_number_is_inside_the_smallest_window(number, size):
    width, height = size
    with mmap.mmap(-1, width * height * 4) as pixels:
        draw_number(pixels, number, width, height, width * 4)
        assert {pixels[i : i + 4] for i in range(0, len(pixels), 4)} == {
            b"\xff\xff\xff\x00",
            b"\x50\x28\x10\x00",
        }
    for left, top, wide, tall in number_rectangles(number, width, height):
        assert 0 <= left < left + wide <= width and 0 <= top < top + tall <= height


def test_who_has_a_device_open_is_found_by_its_number():
    with Path("/dev/full").open():
        assert os.geteuid() in holders.find_owners("/dev/full")
    assert holders.find_owners("/dev/there-is-none") == ()


@pytest.mark.parametrize("is_there", [True, False], ids=["a terminal", "none"])
def test_enter_in_a_window_ends_the_wait_and_a_desktop_that_goes_does_not(is_there):
    class Asked:
        def __init__(self, says):
            self.ours, self.theirs = socket.socketpair()
            self.theirs.send(b"something")
            self.says = says

        def fileno(self):
            return self.ours.fileno()

        def read(self):
            self.ours.recv(100)
            if isinstance(self.says, OSError):
                raise self.says
            return self.says

    gone, window = Asked(OSError("gone")), Asked(True)
    terminal, end = os.openpty() if is_there else (None, None)
    begun = time.monotonic()
    try:
        wait_enter(terminal, 30, [gone, window])
        assert time.monotonic() - begun < 10
        wait_enter(terminal, 0.1, [gone])
    finally:
        for fd in (terminal, end) if is_there else ():
            os.close(fd)


def test_another_refusal_of_the_kernel_is_told_in_its_words(tree, kernel):
    kernel(errno.EINVAL)

    with show_numbers(tree, numbered(scan(tree))) as shown:
        assert shown.dark[1] == os.strerror(errno.EINVAL)


def test_a_card_that_is_with_a_guest_shows_nothing(tmp_path, tree, kernel):
    kernel(errno.EBUSY)
    monitors = numbered(scan(tree))
    (tmp_path / "elsewhere").mkdir()

    with show_numbers(Sysfs(str(tmp_path / "elsewhere")), monitors) as shown:
        assert shown.dark == dict.fromkeys((1, 2), "its card is not the host's now")


@pytest.fixture
def machine(tree, monkeypatch):
    """The tree in place of this machine's root."""
    monkeypatch.setattr("phyllome_seat.system.sysfs.Sysfs", lambda _: tree)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tree


def test_identify_says_beside_each_monitor_why_it_shows_no_number(machine, kernel, capsys):
    kernel(errno.EBUSY)

    status = cli.main(["identify", "--monitors", "--timeout", "5"])

    said = capsys.readouterr().out
    assert status == 1  # no monitor shows anything, and nothing was waited for
    assert "  1  DELL U2720Q, DP-1 of 0000:01:00.0" in said
    assert f"     not shown: {DESKTOP}\n" in said


def test_identify_says_so_in_json(machine, kernel, capsys):
    kernel(errno.EBUSY)

    assert cli.main(["identify", "--monitors", "--json", "--timeout", "5"]) == 1

    monitors = json.loads(capsys.readouterr().out)["monitors"]
    assert [m["not_shown"] for m in monitors] == [DESKTOP, os.strerror(errno.ENOENT)]


def test_init_says_which_number_is_not_shown_and_goes_on(machine, kernel, capsys):
    kernel(errno.EBUSY)

    _show_numbers(scan(machine))

    assert capsys.readouterr().out.splitlines()[1:] == [
        f"  1 is not shown: {DESKTOP}",
        f"  2 is not shown: {os.strerror(errno.ENOENT)}",
    ]
