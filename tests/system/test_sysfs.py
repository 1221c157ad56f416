from __future__ import annotations

import os

import pytest

from phyllome_seat.system.sysfs import Sysfs
from tests.system.trees import Link, make_tree


def test_an_absolute_link_is_resolved_inside_the_root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hostname").write_text("inside\n")
    (tmp_path / "link").symlink_to("/etc/hostname")

    tree = Sysfs(str(tmp_path))

    assert [tree.read("link"), tree.read("link")] == ["inside", "inside"]


@pytest.mark.parametrize("target", ["../secret", "/../secret", "a/../../secret", "../../../secret"])
def test_no_link_and_no_path_leads_out_of_the_root(tmp_path, target):
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "link").symlink_to(target)
    (tmp_path / "root" / "folder").symlink_to(tmp_path)

    tree = Sysfs(str(tmp_path / "root"))

    for path in ("a/link", "a/../../secret", "folder/secret", target):
        assert tree.read(path) is None
        assert tree.read(path) is None, "also when the folders on the way are known"


def test_a_link_is_followed_one_step(tmp_path):
    tree = make_tree(
        tmp_path, {"sys/devices/pci/card": "", "sys/bus/link": Link("sys/devices/pci")}
    )

    assert tree.target("sys/bus/link") == "sys/devices/pci"
    assert tree.target("sys/devices/pci") is None
    assert tree.target("sys/bus/none") is None


@pytest.mark.parametrize(
    ("target", "answer"),
    [("/sys/x", "sys/x"), ("x", "sys/bus/x"), ("./a/../x", "sys/bus/x"), ("../../../../x", "x")],
)
def test_a_link_of_any_form_is_followed_from_the_root(tmp_path, target, answer):
    (tmp_path / "sys" / "bus").mkdir(parents=True)
    (tmp_path / "sys" / "bus" / "link").symlink_to(target)

    assert Sysfs(str(tmp_path)).target("sys/bus/link") == answer


def test_a_folder_behind_a_link_is_followed_from_where_it_really_is(tmp_path):
    files = {
        "sys/devices/card/driver": Link("sys/drivers/x"),
        "sys/class/card": Link("sys/devices/card"),
    }
    tree = make_tree(tmp_path, files)

    assert tree.target("sys/class/card/driver") == "sys/drivers/x"


def test_a_driver_that_changes_is_seen_to_change(tmp_path):
    files = {f"sys/drivers/{name}/bind": name for name in ("old", "new")}
    tree = make_tree(tmp_path, files | {"sys/devices/card/driver": Link("sys/drivers/old")})
    assert tree.read("sys/devices/card/driver/bind") == "old"

    (tmp_path / "sys/devices/card/driver").unlink()
    (tmp_path / "sys/devices/card/driver").symlink_to("../../drivers/new")

    assert tree.link("sys/devices/card/driver") == "new"
    assert tree.read("sys/devices/card/driver/bind") == "new"


def test_a_folder_that_comes_later_is_seen(tmp_path):
    tree = make_tree(tmp_path, {"sys/devices/usb1/name": "hub"})
    assert tree.read("sys/devices/usb1/1-4/name") is None

    make_tree(tmp_path, {"sys/devices/usb1/1-4/name": "stick"})

    assert tree.read("sys/devices/usb1/1-4/name") == "stick"


def test_a_pipe_in_a_recorded_tree_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert not Sysfs(str(tmp_path)).read("pipe")


def test_links_that_go_round_in_circles_end(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    tree = Sysfs(str(tmp_path))

    assert tree.read("a") is None
    assert tree.list("a/b") == ()
    assert tree.resolve("a") is None


def test_a_path_that_no_file_can_have_is_missing(tmp_path):
    for tree in (Sysfs(str(tmp_path)), Sysfs("/")):
        for path in ("a\0b", "a\0/b", "\ud800"):
            assert tree.read(path) is tree.link(path) is tree.target(path) is tree.resolve(path)
            assert tree.read(path) is None
            assert tree.list(path) == ()
            assert not tree.exists(path)
