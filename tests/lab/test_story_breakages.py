"""`check` in a real PC: silent while all is well, one alarm for each breakage, cured by its fix."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

import pytest

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.host_json import parse_host
from tests.lab.follow import follow
from tests.lab.story import Story

pytestmark = pytest.mark.lab

SEATS = "/etc/phyllome-seat/seats.yaml"
ABSTRACTION = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
MASK = "systemctl mask --now libvirtd.service libvirtd.socket libvirtd-ro.socket"
STOP = "systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"


@dataclass(frozen=True)
class Breakage:
    """What breaks the PC, the one alarm that is right, and a piece of what it says."""

    name: str
    make: str  # a shell script, with {nic} and others of `known`
    alarm: tuple[str, str]
    says: str
    fix: str


BREAKAGES = (
    Breakage(
        "a module that is gone, in modules-load.d",
        "printf '# VFIO\\nvfio\\nvfio_virqfd\\n' >/etc/modules-load.d/passthrough.conf",
        ("warning", "vfio_virqfd"),
        "is stale",
        "delete line 3 of /etc/modules-load.d/passthrough.conf",
    ),
    Breakage(
        "another, in /etc/modules",
        "echo vfio-mdev >>/etc/modules",
        ("warning", "vfio_mdev"),
        "is stale",
        "of /etc/modules",
    ),
    Breakage(
        "an id that the host's network card has too",
        "echo 'options vfio-pci ids={nic}' >/etc/modprobe.d/vfio.conf",
        ("error", "{nic_address}"),
        "carries the default route",
        "delete line 1 of /etc/modprobe.d/vfio.conf",
    ),
    Breakage(
        "a setting in a folder that few know",
        "mkdir -p /usr/local/lib/modules-load.d;"
        " echo vfio_virqfd >/usr/local/lib/modules-load.d/x.conf",
        ("warning", "vfio_virqfd"),
        "/usr/local/lib/modules-load.d/x.conf:1",
        "delete line 1 of /usr/local/lib/modules-load.d/x.conf",
    ),
    Breakage(
        "an id among others that the host's card has too",
        "echo 'options vfio-pci disable_vga=1 ids=10de:2786,{card}' >/etc/modprobe.d/vfio.conf",
        ("error", "{card_address}"),
        "ids={card} takes it at boot",
        "take ,{card} out of line 1 of /etc/modprobe.d/vfio.conf",
    ),
    Breakage(
        "an id that takes all USB controllers alike",
        "echo 'options vfio_pci ids={usb}' >/etc/modprobe.d/usb.conf",
        ("warning", "ids={usb}"),
        "takes {usb_address}, ",
        "delete line 1 of /etc/modprobe.d/usb.conf",
    ),
    Breakage(
        "vfio-pci that modprobe refuses",
        "echo 'install vfio-pci /bin/false' >/etc/modprobe.d/no-vfio.conf",
        ("error", "vfio_pci"),
        "modprobe was told not to load it",
        "delete line 1 of /etc/modprobe.d/no-vfio.conf",
    ),
    Breakage(
        "interrupts let through without need",
        "echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' >/etc/modprobe.d/unsafe.conf",
        ("warning", "allow_unsafe_interrupts"),
        "needs no such thing",
        "delete line 1 of /etc/modprobe.d/unsafe.conf",
    ),
    Breakage(
        "libvirt stopped",
        STOP,
        ("error", "libvirt"),
        "does not answer",
        "sudo systemctl enable --now libvirtd.service",
    ),
    Breakage(
        "KVM for root alone",
        "chmod 0600 /dev/kvm",
        ("error", "/dev/kvm"),
        "mode 0600",
        "sudo udevadm trigger --settle --action=add /dev/kvm",
    ),
    Breakage(
        "libvirt masked",
        f"{STOP}; {MASK}",
        ("error", "libvirt"),
        "leads to /dev/null",
        "sudo systemctl unmask libvirtd.service libvirtd.socket libvirtd-ro.socket",
    ),
    Breakage(
        "VFIO for root alone",
        # udev sets the mode when the node has come
        "modprobe vfio; udevadm settle; chmod 0600 /dev/vfio/vfio",
        ("error", "/dev/vfio/vfio"),
        "mode 0600",
        "sudo udevadm trigger --settle --action=add /dev/vfio/vfio",
    ),
    Breakage(
        "more huge pages than the host can spare",
        "echo 1200 >/proc/sys/vm/nr_hugepages",
        ("warning", "huge pages"),
        "nr_hugepages: ",
        "echo 0 | sudo tee /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
    ),
    Breakage(
        "a profile of AppArmor that keeps VFIO from guests",
        f"mkdir -p {ABSTRACTION.rpartition('/')[0]}; echo '  deny /dev/vfio/* rw,' >{ABSTRACTION}",
        ("error", "AppArmor"),
        "keeps guests from /dev/vfio",
        f"of {ABSTRACTION}",
    ),
    Breakage(
        "a list of devices without KVM",
        'printf \'cgroup_device_acl = [\\n  "/dev/null", "/dev/full"\\n]\\n\''
        " >>/etc/libvirt/qemu.conf",
        ("error", "cgroup_device_acl"),
        "no /dev/kvm",
        "of /etc/libvirt/qemu.conf; sudo systemctl restart libvirtd",
    ),
    Breakage(
        "a PC that sleeps when nobody sits at the host",
        "mkdir -p /etc/systemd/logind.conf.d;"
        " printf '[Login]\\nIdleAction=suspend\\n' >/etc/systemd/logind.conf.d/green.conf",
        ("warning", "suspend"),
        "the PC goes to sleep",
        "delete line 2 of /etc/systemd/logind.conf.d/green.conf",
    ),
)


def alarms(pc):
    """Return words, evidence and fix of each error and warning by its severity and subject."""
    done = pc.run(["phyllome-seat", "check", "--json"], check=False)
    found = json.loads(done.stdout)["findings"]
    assert done.status == any(f["severity"] == "error" for f in found), done
    return {
        (f["severity"], f["subject"]): (f"{f['words']} [{f['evidence']}]", f["fix"])
        for f in found
        if f["severity"] != "note"
    }


def find_known(pc):
    """Return ids and addresses of what the host needs, by the names the table uses."""
    host = parse_host(pc.run("phyllome-seat scan --json").stdout)
    use = next(use for use in host.network_uses if use.why == "default route")
    known = {
        "nic": next(n.pci for n in host.networks if n.name == use.interface),
        "card": host.console.gpu,
        "usb": PciAddress.parse(pc.address("host-usb")),
    }
    ids = {
        name: f"{host.by_address[where].id.vendor:04x}:{host.by_address[where].id.device:04x}"
        for name, where in known.items()
    }
    return ids | {f"{name}_address": str(where) for name, where in known.items()}


def usual(pc):
    """Return what is right to say of the lab's PC, whose processor QEMU may emulate in software."""
    has_kvm = pc.run("test -e /dev/kvm", check=False).status == 0
    return set() if has_kvm else {("error", "virtualisation")}


def break_and_cure(pc, breakage, known, always):
    """Break it, see its alarm and no other, and do what it says."""
    pc.run(breakage.make.format(**known))
    alarm = (breakage.alarm[0], breakage.alarm[1].format(**known))
    found = alarms(pc)
    assert set(found) - always == {alarm}, found
    words, fix = found[alarm]
    assert breakage.says.format(**known) in words
    assert breakage.fix.format(**known) in fix
    assert not follow(pc, fix), "it takes a boot"


def test_no_two_neighbours_of_the_table_give_one_alarm():
    """Since that the next alarm is the only one says that the last is gone."""
    subjects = [breakage.alarm[1] for breakage in BREAKAGES]
    assert all(one != other for one, other in pairwise(subjects))


def test_a_healthy_pc_gives_no_alarm_and_each_breakage_its_own_until_it_is_cured(pc):
    always, known = usual(pc), find_known(pc)
    assert set(alarms(pc)) == always, alarms(pc)
    wrong = []

    for breakage in BREAKAGES:
        try:
            break_and_cure(pc, breakage, known, always)
        except AssertionError as error:
            wrong.append(f"{breakage.name}: {error}")
            pc.restore()  # what it left broken is not the next one's

    assert not wrong, "\n".join(wrong)
    assert set(alarms(pc)) == always, alarms(pc)


def test_seats_that_want_more_memory_than_the_pc_has_are_told_so_until_they_want_less(pc):
    Story(pc).prepare()
    # its two guests have a processor each of the two there are
    always = usual(pc) | {("warning", "processors")}
    fits = pc.get(SEATS).decode()
    assert set(alarms(pc)) == always, alarms(pc)

    # more than there is, by the guests to create; then together with the guest that is there
    for size, alarm, way_out in (
        ("6GiB", ("error", "seats"), "make `memory` smaller"),
        ("2600MiB", ("error", "memory"), f"give the guests less memory in {SEATS}"),
    ):
        pc.put(SEATS, fits.replace("memory: 384MiB", f"memory: {size}"))
        found = alarms(pc)
        assert set(found) - always == {alarm}, found
        assert way_out in " ".join(found[alarm]), found
    pc.put(SEATS, fits)
    assert set(alarms(pc)) == always


SWITCH_OFF = "s/intel_iommu=on/intel_iommu=off video=efifb:off/"
CMDLINE = "/etc/kernel/cmdline"


@pytest.mark.soak  # two boots by firmware and boot loader take minutes
@pytest.mark.parametrize(
    ("loader", "switch_off", "place"),
    (
        (
            "grub",
            f"sed -i -e '{SWITCH_OFF}' /etc/default/grub\nupdate-grub",
            "of /etc/default/grub (GRUB_CMDLINE_LINUX)",
        ),
        (
            "systemd-boot",  # whose entries are made from that file
            f"sed -i -e '{SWITCH_OFF}' {CMDLINE}\nupdate-initramfs -u -k all",
            f"of {CMDLINE}",
        ),
    ),
    ids=("grub", "systemd-boot"),
)
def test_an_iommu_that_is_off_is_on_again_after_what_check_says(
    open_pc, two_seats, loader, switch_off, place
):
    with open_pc(two_seats, boot=loader) as pc:
        always = usual(pc)
        assert set(alarms(pc)) == always, alarms(pc)
        pc.script(switch_off, timeout_s=300)
        pc.power_cycle()

        found = alarms(pc)
        broken = {("error", "IOMMU kernel"), ("warning", "video=efifb:off")}
        assert set(found) - always == broken, found
        words, fix = found["error", "IOMMU kernel"]
        assert "/proc/cmdline: intel_iommu=off" in words
        assert "take intel_iommu=off out of line " in fix
        assert place in fix
        assert "add intel_iommu=on to line " in fix
        for one in sorted(broken):
            assert follow(pc, found[one][1])
        pc.power_cycle()

        assert set(alarms(pc)) == always, alarms(pc)
        assert "intel_iommu=on" in pc.get("/proc/cmdline").decode()
