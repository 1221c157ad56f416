"""Numbers on monitors whose card a desktop has: the kernel refuses, and each number says why.

What is not here is the kernel's: a card's node, and its answer to DRM_IOCTL_SET_MASTER. It says
EBUSY while somebody else is master, EACCES to who may not become it (drivers/gpu/drm/drm_auth.c).
"""

import errno
import json
import os

import pytest

from phyllome_seat import cli
from phyllome_seat.cli.init import _show_numbers
from phyllome_seat.model.monitors import HELD, numbered
from phyllome_seat.system import drm
from phyllome_seat.system.identify_monitors import show_numbers
from phyllome_seat.system.scan import scan
from phyllome_seat.system.sysfs import Sysfs
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

    with show_numbers(tree, numbered(scan(tree))) as dark:
        assert dark == {1: DESKTOP, 2: os.strerror(errno.ENOENT)}

    assert len(opened) == 1
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(opened[0])


def test_another_refusal_of_the_kernel_is_told_in_its_words(tree, kernel):
    kernel(errno.EINVAL)

    with show_numbers(tree, numbered(scan(tree))) as dark:
        assert dark[1] == os.strerror(errno.EINVAL)


def test_a_card_that_is_with_a_guest_shows_nothing(tmp_path, tree, kernel):
    kernel(errno.EBUSY)
    monitors = numbered(scan(tree))
    (tmp_path / "elsewhere").mkdir()

    with show_numbers(Sysfs(str(tmp_path / "elsewhere")), monitors) as dark:
        assert dark == dict.fromkeys((1, 2), "its card is not the host's now")


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
