from __future__ import annotations

from phyllome_seat.system.udev_db import read_udev
from tests.system.trees import make_tree

DISK = """\
S:disk/by-id/usb-stick
S:disk/by-label/A=B
I:1234567
E:ID_SERIAL=stick
E:ID_FS_LABEL=A=B
E:EMPTY=
G:systemd
G:old
Q:systemd
V:1
"""


def test_an_entry_has_properties_links_and_the_tags_of_now(tmp_path):
    tree = make_tree(tmp_path, {"run/udev/data/b8:0": DISK})

    entry = read_udev(tree, "b8:0")

    assert entry.properties == {"ID_SERIAL": "stick", "ID_FS_LABEL": "A=B", "EMPTY": ""}
    assert entry.links == ("disk/by-id/usb-stick", "disk/by-label/A=B")
    assert entry.tags == ("systemd",)


def test_before_there_were_tags_of_now_the_tags_ever_given_count(tmp_path):
    tree = make_tree(tmp_path, {"run/udev/data/+usb:1-2": "G:seat\nG:uaccess\n"})

    assert read_udev(tree, "+usb:1-2").tags == ("seat", "uaccess")


def test_what_udev_does_not_know_is_empty(tmp_path):
    entry = read_udev(make_tree(tmp_path, {}), "c13:64")

    assert (entry.properties, entry.links, entry.tags) == ({}, (), ())
