"""The system in the PC: what a Debian host with libvirt has."""

import re
import time

import pytest

pytestmark = pytest.mark.lab

GUEST = """<domain type='kvm'><name>confined</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""


def test_apparmor_enforces_with_libvirts_profiles(pc):
    assert pc.get("/sys/module/apparmor/parameters/enabled") == b"Y\n"
    profiles = pc.get("/sys/kernel/security/apparmor/profiles").decode()
    for name in ("libvirtd", "virt-aa-helper"):
        assert re.search(rf"^{name} \(enforce\)$", profiles, re.M), profiles


def test_a_guest_runs_under_kvm_and_confined(pc):
    pc.put("/root/guest.xml", GUEST)
    pc.script("virsh define /root/guest.xml; virsh start confined", timeout_s=120)
    (pid,) = pc.run("pgrep -x qemu-system-x86").stdout.split()
    confinement = pc.get(f"/proc/{pid}/attr/apparmor/current").decode().strip("\n\0")
    assert re.fullmatch(r"libvirt-[0-9a-f-]{36} \(enforce\)", confinement)
    monitor = pc.run("virsh qemu-monitor-command confined --hmp info kvm").stdout
    assert "kvm support: enabled" in monitor
    pc.run("virsh destroy confined")


def test_the_release_is_the_one_asked_for(pc, request):
    assert (
        f"VERSION_CODENAME={request.config.getoption('--pc')}\n"
        in pc.run("cat /etc/os-release").stdout
    )


def test_each_part_alone_behind_its_port_is_a_group(pc):
    def group(address):
        return set(pc.run(f"ls /sys/bus/pci/devices/{address}/iommu_group/devices").stdout.split())

    left = pc.address("left")
    assert group(left) == {left, left.removesuffix("0") + "1"}
    assert group(pc.address("left-usb")) == {pc.address("left-usb")}


def test_nothing_of_a_guest_ran_before_the_snapshot(pc):
    assert pc.run("virsh list --all --name").stdout.strip() == ""
    assert "vfio" not in pc.run("lsmod").stdout


def test_opening_the_ready_pc_takes_seconds(pc):
    started = time.monotonic()
    pc.restore()
    pc.run("true")
    assert time.monotonic() - started < 30
