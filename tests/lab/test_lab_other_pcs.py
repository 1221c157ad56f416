"""PCs that are built otherwise: groups, hubs, serials, other cards, and ways to boot."""

import pytest

from phyllome_seat.lab.describe import parse_description
from phyllome_seat.lab.edid import render_edid

pytestmark = pytest.mark.lab

ODD = """
version: 1
memory: 2GiB
ps2: true
host-card: old
cards:
  - {id: old, model: VGA, place: bus}
  - {id: one, model: bochs-display, place: shared a, monitor: {name: "One", serial: "1"}}
  - {id: two, model: virtio-gpu-pci, place: shared a, monitor: {name: "Two", serial: "2"}}
  - {id: three, model: secondary-vga, sound: true, place: switch s}
usb:
  - id: usb
    place: switch s
    ports: 6
    plugged:
      - {id: hub, kind: hub, port: "2"}
      - {id: same-a, kind: keyboard, port: "2.1", serial: "SAME", card: three}
      - {id: same-b, kind: keyboard, port: "2.3", serial: "SAME", card: three}
      - {id: empty, kind: mouse, port: "1", serial: ""}
      - {id: stick, kind: storage, port: "3", serial: "S1"}
disks:
  - {id: sata, model: ahci, size: 8MiB}
  - {id: plain, place: bus}
nics:
  - {id: lan, model: e1000e}
  - {id: second, model: virtio-net-pci}
"""


@pytest.fixture(scope="module")
def odd(open_pc):
    with open_pc(parse_description(ODD), install=False) as opened:
        yield opened


def group(pc, part):
    devices = f"/sys/bus/pci/devices/{pc.address(part)}/iommu_group/devices"
    return set(pc.run(f"ls {devices}").stdout.split())


def test_parts_that_share_a_port_without_acs_share_a_group(odd):
    assert group(odd, "one") == group(odd, "two")
    assert {odd.address("one"), odd.address("two")} < group(odd, "one")


def test_parts_behind_a_switch_are_there(odd):
    assert odd.address("three") in group(odd, "three")
    assert odd.address("usb") in group(odd, "usb")


def test_cards_of_different_models_have_different_ids(odd):
    found = {
        part: odd.run(f"lspci -n -s {odd.address(part)}").stdout.split()[1:3]
        for part in ("old", "one", "two", "three")
    }
    assert found == {
        "old": ["0300:", "1234:1111"],
        "one": ["0380:", "1234:1111"],
        "two": ["0380:", "1af4:1050"],
        "three": ["0380:", "1234:1111"],
    }


def test_what_hangs_behind_a_hub_is_there_with_its_serial(odd):
    script = "cd /sys/bus/usb/devices; for d in *-*[0-9]; do case $d in *:*) continue;; esac; "
    script += 'echo "${d#*-}=$(cat $d/serial 2>/dev/null)"; done'
    found = dict(line.split("=") for line in odd.run(script).stdout.split())
    assert found["2.1"] == found["2.3"] == "SAME"
    assert found["3"] == "S1"
    assert found["1"] == ""


def test_other_drivers_show_their_monitors_names_too(odd):
    for card in odd.description.cards:
        if card.screen is not None:
            where = f"/sys/bus/pci/devices/{odd.address(card.id)}"
            edid = odd.run(f"find {where}/ -path '*/drm/card*' -name edid -exec od -An -tx1 {{}} +")
            assert "".join(edid.stdout.split()) == render_edid(card.screen).hex()


def test_disks_and_nics_are_there_and_the_first_nic_has_the_route(odd):
    assert odd.run("lsblk -dno SERIAL").stdout.split().count("sata") == 1
    lan = odd.run(f"ls /sys/bus/pci/devices/{odd.address('lan')}/net").stdout.strip()
    assert odd.run("ip -o route show default").stdout.split()[4] == lan


@pytest.mark.soak  # two boots, for its length
def test_a_pc_that_no_snapshot_holds_is_booted_each_time(open_pc):
    text = "version: 1\nmemory: 1GiB\nsystem-disk: nvme\ncards: [{id: old, model: ati-vga}]\n"
    with open_pc(parse_description(text), install=False) as pc:
        assert pc.run("findmnt -no SOURCE /").stdout.startswith("/dev/nvme0n1")
        assert "1002:5046" in pc.run("lspci -n").stdout
        pc.run("touch /root/mark; sync")
        pc.restore()
        assert pc.run("test -e /root/mark", check=False).status == 1


@pytest.mark.soak  # takes minutes
def test_the_pc_boots_by_uefi_and_its_own_grub(open_pc, two_seats):
    with open_pc(two_seats, boot="grub", install=False) as pc:
        pc.script("test -d /sys/firmware/efi; findmnt /boot/efi; test -e /boot/efi/EFI/debian")
        # What its boot loader's own configuration says reaches its kernel.
        configure = 's/^GRUB_CMDLINE_LINUX=.*intel/GRUB_CMDLINE_LINUX="phyllome.lab=1 intel/'
        pc.script(f"sed -i '{configure}' /etc/default/grub; update-grub", timeout_s=120)
        pc.power_cycle()
        command_line = pc.get("/proc/cmdline").decode()
        assert command_line.startswith("BOOT_IMAGE=/boot/vmlinuz-")
        assert "phyllome.lab=1 intel_iommu=on iommu=pt" in command_line
        assert "debian" in pc.run("efibootmgr").stdout


@pytest.mark.soak
def test_the_pc_boots_by_uefi_and_systemd_boot(open_pc, two_seats):
    with open_pc(two_seats, boot="systemd-boot", install=False) as pc:
        assert "systemd-boot" in pc.run("bootctl status --no-pager").stdout
        entries = "/boot/efi/loader/entries"
        pc.script(f"sed -i 's/^options.*/& phyllome.lab=1/' {entries}/*.conf; sync")
        pc.power_cycle()
        assert "phyllome.lab=1" in pc.get("/proc/cmdline").decode()
