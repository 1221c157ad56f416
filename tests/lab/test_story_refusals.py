"""What is refused before anything is written, and what is taken along, on a crowded board."""

from __future__ import annotations

from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description
from tests.lab.asking import (
    BOCHS,
    SEAT_FILE,
    addresses,
    ask,
    controller,
    gpu,
    port,
    seats,
)

pytestmark = pytest.mark.lab

PC = Path(__file__).parent / "pcs/groups.yaml"

# What QEMU does first with a group it is given: include/uapi/linux/vfio.h, VFIO_GROUP_SET_CONTAINER
# and VFIO_SET_IOMMU with VFIO_TYPE1v2_IOMMU. The kernel refuses the first with EPERM while the host
# does DMA in that group.
CLAIM = """\
import errno, fcntl, os, struct, sys
for address in sys.argv[1:]:
    group = os.path.basename(os.readlink(f"/sys/bus/pci/devices/{address}/iommu_group"))
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    node = os.open(f"/dev/vfio/{group}", os.O_RDWR)
    try:
        fcntl.ioctl(node, 0x3B68, struct.pack("i", container))
        fcntl.ioctl(container, 0x3B66, 3)
        print(address, "claimed")
    except OSError as error:
        print(address, errno.errorcode[error.errno])
    os.close(node)
    os.close(container)
"""


@pytest.fixture(scope="module")
def board(open_pc):
    with open_pc(read_description(PC)) as opened:
        yield opened


@pytest.fixture
def pc(board):
    """The board as it was when it was ready; each test changes it."""
    yield board
    board.restore()


def members(pc, part):
    group = f"/sys/bus/pci/devices/{pc.address(part)}/iommu_group/devices"
    return set(pc.run(f"ls {group}").stdout.split())


def drivers(pc, *parts):
    """Return the driver of each part, "" for none."""
    places = " ".join(f"/sys/bus/pci/devices/{pc.address(part)}/driver" for part in parts)
    lines = pc.run(f'for d in {places}; do echo "$(basename "$(readlink $d)")"; done')
    return lines.stdout.split("\n")[:-1]


def claim(pc, *parts):
    """Return what VFIO says to who wants to have the group of each part."""
    pc.put("/root/claim.py", CLAIM)
    done = pc.run(["python3", "/root/claim.py", *map(pc.address, parts)])
    return [line.split()[1] for line in done.stdout.splitlines()]


def give(pc, part, driver):
    """Give one part to a driver by hand, "" to none."""
    place = f"/sys/bus/pci/devices/{pc.address(part)}"
    pc.script(
        f"modprobe -q {driver or 'pci-stub'} || true\n"
        f"echo {driver} > {place}/driver_override\n"
        f"test ! -e {place}/driver || echo {pc.address(part)} > {place}/driver/unbind\n"
        + (f"echo {pc.address(part)} > /sys/bus/pci/drivers_probe\n" if driver else "")
    )


def test_what_shares_a_group_is_refused_naming_exactly_what_blocks_it(pc):
    one, too, usb = map(pc.address, ("joined", "joined-too", "joined-usb"))
    disk_usb, vault = map(pc.address, ("disk-usb", "vault"))
    files = {
        "half": seats(left=gpu(one)),
        "torn": seats(left=gpu(one), right=gpu(too)),
        "most": seats(left=gpu(one) | {"usb": [controller(usb)]}),
        "disk": seats(left={"usb": [controller(disk_usb)]}),
    }

    answers, changed = ask(pc, files)

    half = answers["half"].about(f"{one} (")
    assert addresses(half) == {one, too, usb}
    assert half.endswith(": all go to seat left, or none (/root/half.yaml:1)")
    torn = answers["torn"]
    assert addresses(torn.about("of seat right: give all of them to one seat")) == {one, too}
    assert addresses(torn.about("of seat left: give all of them to one seat")) == {one, too}
    assert addresses(torn.about("both go to seat left, or neither")) == {one, usb}
    most = answers["most"].about(" shares ")
    assert addresses(most) == {one, too}
    assert ": both go to seat left, or neither" in most
    disk = answers["disk"].about(" shares ")
    assert addresses(disk) == {disk_usb, vault}
    assert f": no seat can have {vault}: name another, or take {vault} from its driver" in disk
    assert {answer.status for answer in answers.values()} == {1}
    assert changed == ""


def test_members_that_do_no_dma_for_the_host_are_left_and_the_group_is_free(pc):
    one, too, usb = map(pc.address, ("joined", "joined-too", "joined-usb"))
    # The kernel's own word on the rule: with the others at work, nobody gets this group.
    give(pc, "joined", "vfio-pci")
    assert claim(pc, "joined") == ["EPERM"]
    give(pc, "joined", "bochs-drm")
    give(pc, "joined-too", "")
    give(pc, "joined-usb", "pci-stub")
    ports = members(pc, "joined") - {one, too, usb}
    assert len(ports) == 3
    assert all("pcieport" in pc.run(f"lspci -ks {where}").stdout for where in ports)

    pc.put(SEAT_FILE, seats(left=gpu(one)))
    pc.run("phyllome-seat apply")

    assert drivers(pc, "joined", "joined-too", "joined-usb") == ["vfio-pci", "", "pci-stub"]
    assert claim(pc, "joined") == ["claimed"]
    assert "nothing to do" in pc.run("phyllome-seat plan").stdout
    pc.run("phyllome-seat revert")
    assert drivers(pc, "joined", "joined-too", "joined-usb") == ["bochs-drm", "", "pci-stub"]


def test_twins_go_to_a_seat_each_the_third_stays_and_a_hub_takes_its_keyboard_along(pc):
    left, right, other, hub = map(pc.address, ("twin-left", "twin-right", "other", "hub-usb"))
    # Who draws on a card has it: a desktop, here a program that has its node open.
    desktop = "exec python3 -c \"import os, time; os.open('/dev/dri/by-path/pci-"
    desktop += f"{left}-card', os.O_RDWR); time.sleep(1000)\""
    pc.put("/root/desktop.sh", desktop)
    pc.run("systemd-run --quiet --unit=desktop sh /root/desktop.sh; sleep 1")
    files = {
        "held": seats(left=gpu(left)),
        "moved": seats(left=gpu(other)),
        "tie": seats(left={"usb": [port(hub, "2")]}, right={"usb": [port(hub, "2")]}),
    }

    answers, changed = ask(pc, files)

    pid = pc.run("systemctl show -P MainPID desktop").stdout.strip()
    assert f"{left} (" in answers["held"].about(f" is in use by pid {pid} (python3)")
    assert "log out of the desktop" in answers["held"].said
    bochs = {pc.address(card.id) for card in pc.description.cards} - {other}
    moved = answers["moved"].about(f"{other} is not {BOCHS}, ")
    assert addresses(moved) == {other, *bochs}
    tie = answers["tie"].about(f"{hub}/usb2/2 is named by seat left (")
    assert "and by seat right: give it to one of them (" in tie
    assert {answer.status for answer in answers.values()} == {1}
    assert changed == ""

    pc.run("systemctl stop desktop")
    ids = pc.run("lspci -n -d 1234:1111").stdout.splitlines()
    assert len(ids) == len(bochs)
    mine = gpu(left) | {"usb": [port(hub, "2")]}
    pc.put(SEAT_FILE, seats(left=mine, right=gpu(right)))
    pc.run("phyllome-seat apply")
    cards = ("twin-left", "twin-right", "console", "joined")
    assert drivers(pc, *cards) == ["vfio-pci", "vfio-pci", "bochs-drm", "bochs-drm"]
    assert claim(pc, "twin-left", "twin-right") == ["claimed", "claimed"]
    assert seat_of_keyboard(pc) == "seat-phyllome-left"

    # The whole controller instead: the hub and its keyboard go, and are still known.
    pc.put(SEAT_FILE, seats(left=gpu(left) | {"usb": [controller(hub)]}, right=gpu(right)))
    pc.run("phyllome-seat apply")
    assert drivers(pc, "hub-usb") == ["vfio-pci"]
    assert claim(pc, "hub-usb") == ["claimed"]
    assert seat_of_keyboard(pc) is None
    assert "BEHIND" in pc.run("phyllome-seat scan --json").stdout
    assert "nothing to do" in pc.run("phyllome-seat plan").stdout


def seat_of_keyboard(pc):
    """Return udev's seat of the keyboard behind the hub; None where the host has it no more."""
    node = "/dev/input/by-id/*BEHIND-event-kbd"
    done = pc.run(f"udevadm info --query=property --property=ID_SEAT --value {node}", check=False)
    return done.stdout.strip() if done.status == 0 else None


BRIDGE = """\
lan=$(basename /sys/bus/pci/devices/$1/virtio*/net/*)
address=$(ip -o -4 address show dev $lan | awk '{print $4}')
router=$(ip -o route show default | awk '{print $3}')
systemctl stop systemd-networkd.socket systemd-networkd
ip link add br0 type bridge
ip address flush dev $lan
ip link set $lan master br0
ip link set br0 up
ip address add $address dev br0
ip route replace default via $router dev br0
test "$(ip -o route show default | awk '{print $5}')" = br0
"""
# The key is derived the quick way: this is about where the data is, not about who can read it.
VAULT = """\
disk=/dev/disk/by-id/virtio-vault
echo secret > /root/key
cryptsetup --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file /root/key \\
  luksFormat $disk
cryptsetup --key-file /root/key open $disk safe
pvcreate -q /dev/mapper/safe
vgcreate -q vg /dev/mapper/safe
lvcreate -q -l 100%FREE -n srv vg
mkfs.ext4 -q /dev/vg/srv
mkdir -p /srv/vault
mount /dev/vg/srv /srv/vault
"""


@pytest.mark.soak  # takes minutes
def test_what_the_host_needs_is_refused_with_mount_point_and_route(pc):
    disk_usb, vault, lan_usb, lan = map(pc.address, ("disk-usb", "vault", "lan-usb", "lan"))
    root = pc.address("system")
    pc.script(f"set -- {lan}\n{BRIDGE}{VAULT}udevadm settle\n", timeout_s=120)
    each = "; ".join(f"lspci -n -s {one}" for one in (root, lan, vault))
    lines = pc.run(each).stdout.splitlines()
    ids = [line.split()[2] for line in lines]
    files = {
        "root": seats(left={"usb": [controller(root, ids[0])]}),
        "root-as-card": seats("none", left=gpu(root, ids[0])),
        "lan": seats(left={"usb": [controller(lan, ids[1])]}),
        "vault": seats(left={"usb": [controller(vault, ids[2])]}),
        "beside-lan": seats(left={"usb": [controller(lan_usb)]}),
        "beside-vault": seats(left={"usb": [controller(disk_usb)]}),
        "beside-vault-none": seats("none", left={"usb": [controller(disk_usb)]}),
    }

    answers, changed = ask(pc, files)

    assert f"{root} (" in answers["root"].about(" is no USB controller but holds / (ext4 on ")
    assert f"{root} (" in answers["root-as-card"].about(" is no GPU but holds / (ext4 on ")
    assert f"{lan} (" in answers["lan"].about(" but carries the default route (br0): name one of ")
    said = " is no USB controller but holds /srv/vault (ext4 on vg-srv"  # LVM on LUKS, by its name
    assert f"{vault} (" in answers["vault"].about(said)
    route = answers["beside-lan"].about("carries the default route (br0) (/proc/net/route)")
    assert addresses(route) == {lan_usb, lan}
    assert "the host needs that, so both stay" in answers["beside-lan"].said
    for name in ("beside-vault", "beside-vault-none"):
        mount = answers[name].about("holds /srv/vault (ext4 on vg-srv)")
        assert addresses(mount) == {disk_usb, vault}
        assert f"{disk_usb} (" in mount
        assert "the host needs that, so both stay" in answers[name].said
    assert {answer.status for answer in answers.values()} == {1}
    assert changed == ""
