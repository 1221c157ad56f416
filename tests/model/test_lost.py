"""What the host would lose with each device, as `scan` says it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from phyllome_seat.model.devices import BlockDevice, Guest, Mount, NetworkInterface, NetworkUse
from phyllome_seat.model.host_json import parse_host, render_host
from phyllome_seat.model.lost import list_lost, name_session, render_lost
from phyllome_seat.model.picture import render_picture
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.protect import protect
from tests.model.hosts import (
    DISK,
    HOST_GPU,
    HOST_USB,
    LEFT_USB,
    NETWORK,
    address,
    port,
    two_seat_pc,
    with_function,
)
from tests.model.machines import machines
from tests.model.test_protect import NVME, lvm_on_luks, with_guest
from tests.model.texts import map_texts


def lost(host, where):
    return render_lost(protect(host).pci.get(address(where), ()))


def luks_and_lvm(mount="/"):
    host = lvm_on_luks(mount)
    kinds = {"dm-0": "LUKS", "dm-1": "LVM"}
    return replace(host, blocks=tuple(replace(b, kind=kinds.get(b.name)) for b in host.blocks))


def test_the_disk_is_named_with_all_that_is_between_it_and_its_mount_point():
    assert lost(luks_and_lvm(), NVME) == "the disk with / (nvme0n1p3 → LUKS → LVM vg0-root)"
    assert lost(luks_and_lvm("swap"), NVME) == "its swap (nvme0n1p3 → LUKS → LVM vg0-root)"
    assert lost(luks_and_lvm("EFI system partition"), NVME).startswith("the partition it starts")


def test_each_controller_of_a_raid_is_told_its_own_disk():
    pc = two_seat_pc()
    blocks = (
        BlockDevice("sda", "8:0", pci=(address(DISK),)),
        BlockDevice("sdb", "8:16", pci=(address(LEFT_USB),), usb=port(f"{LEFT_USB}/usb2/3")),
        BlockDevice("md127", "9:127", below=("sda", "sdb"), label="home"),
    )
    host = replace(pc, blocks=blocks, mounts=(Mount("md127", "/home", "xfs"),))

    assert lost(host, DISK) == "the disk with /home (sda → RAID home)"
    assert lost(host, LEFT_USB) == "the disk with /home (sdb → RAID home)"
    (reason,) = protect(host).usb[port(f"{LEFT_USB}/usb2/3")]
    assert reason.loses == "the disk with /home (sdb → RAID home)"


def test_what_cannot_be_followed_is_perhaps_lost():
    host = replace(luks_and_lvm(), mounts=(Mount("rpool/ROOT", "/", "zfs"),))

    assert lost(host, NVME) == "perhaps the disk with / (rpool/ROOT)"


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("default route", "its way to the network (the default route)"),
        ("SSH session from 192.0.2.7", "the network to 192.0.2.7 (an SSH session)"),
        ("session from 192.0.2.7", "the network to 192.0.2.7 (a session)"),
        ("root file system", "what comes over the network: the root file system"),
    ],
)
def test_the_network_is_named_by_what_it_is_for_and_by_its_way(why, words):
    host = replace(
        two_seat_pc(),
        networks=(
            NetworkInterface("br0", ("eth0",), up=True),
            NetworkInterface("eth0", pci=address(NETWORK), up=True),
        ),
        network_uses=(NetworkUse("br0", why, "/proc/net/route"),),
    )

    assert lost(host, NETWORK) == f"{words}, by eth0 → br0"
    yours = name_session(protect(host), "192.0.2.7")
    said = render_lost(yours.pci[address(NETWORK)])
    assert said == f"{words}, by eth0 → br0".replace("an SSH", "your SSH")
    assert name_session(protect(host), "192.0.2.70") == protect(host)


def test_screen_and_keyboard_and_what_guests_use_are_named():
    only = replace(two_seat_pc(), inputs=two_seat_pc().inputs[:1])

    assert lost(two_seat_pc(), HOST_GPU) == "the screen its console is on"
    assert lost(only, HOST_USB) == "its last keyboard, Host Keyboard (event3)"
    assert lost(with_guest("/dev/gone", "direct", "enx0"), LEFT_USB) == "the network of guest games"


def test_what_only_shares_a_group_is_told_with_whom():
    host = with_function(two_seat_pc(), LEFT_USB, iommu_group=5)

    assert lost(host, LEFT_USB) == f"with {DISK} of its group the disk with / (sda1)"


def test_the_picture_has_it_beside_each_device():
    lines = render_picture(two_seat_pc(), protect(two_seat_pc())).splitlines()

    for where, words in (
        (DISK, "the disk with / (sda1)"),
        (NETWORK, "its way to the network (the default route), by eth0"),
        (HOST_GPU, "the screen its console is on"),
    ):
        (line,) = [line for line in lines if line.startswith(where)]
        assert line.endswith(f"← the host would lose {words}")
    assert not any(line.startswith("0000:00:00.0") for line in lines)  # a bridge: never asked for


def test_it_stands_in_the_json_for_programs_and_is_found_out_anew_by_ours():
    text = render_host(two_seat_pc(), list_lost(protect(two_seat_pc())))

    assert parse_host(text) == two_seat_pc()
    needed = {item["place"]: item for item in json.loads(text)["needed"]}
    assert needed[DISK] == {
        "place": DISK,
        "kind": "disk",
        "loses": "the disk with / (sda1)",
        "why": "holds / (ext4 on sda1)",
        "evidence": "/proc/self/mountinfo",
    }
    assert needed[NETWORK]["given_up_by"] == ["gives-up"]
    assert needed[HOST_GPU]["given_up_by"] == ["console: none", "gives-up"]


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(machines())
def test_on_any_machine_each_device_that_stays_says_what_is_lost_and_no_more(host):
    protected = protect(host)

    text = render_host(host, list_lost(protected))

    for reasons in (*protected.pci.values(), *protected.usb.values()):
        assert all(reason.loses for reason in reasons)
    assert parse_host(text) == map_texts(host, lambda _, text: one_line(text))
    assert {item["place"] for item in json.loads(text)["needed"]} == {
        str(place) for place in (*protected.pci, *protected.usb)
    }
    assert "the host would lose" in render_picture(host, protected)


def test_guests_that_libvirt_told_of_are_in_the_picture():
    host = replace(two_seat_pc(), guests=(Guest("win11", "u", "running", seat="left"),))

    assert "guest win11  running, seat left" in render_picture(host, protect(host)).splitlines()
    host = replace(host, guests=None)
    assert "guest" not in render_picture(host, protect(host))
