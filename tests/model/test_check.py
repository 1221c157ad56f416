"""`check`: silent on a healthy PC, one alarm for each breakage, the fix for each distribution."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phyllome_seat.model.check import check
from phyllome_seat.model.check_fix import argument_fix, install_fix
from phyllome_seat.model.devices import Iommu, Memory
from phyllome_seat.model.host_json import parse_host, render_host
from phyllome_seat.model.platform import Node, Platform, Setting
from tests.model.breakages import BREAKAGES
from tests.model.hosts import DISK, LEFT_GPU, address, two_seat_pc, two_seat_wish
from tests.model.machines import machines

HEALTHY = Platform(
    os="debian",
    boot="grub",
    cmdline="BOOT_IMAGE=/vmlinuz root=/dev/sda2 quiet",
    kernel="6.12.1-amd64",
    cpu_vendor="GenuineIntel",
    cpu_flags=("vmx",),
    kvm=True,
    modules=("vfio", "vfio_iommu_type1", "vfio_pci"),
    remaps_interrupts=True,
    programs=("/usr/sbin/libvirtd", "/usr/bin/qemu-system-x86_64"),
    initramfs="update-initramfs",
    nodes=(Node("/dev/kvm", 0o660, 104), Node("/dev/vfio/vfio", 0o666, 0)),
    daemons=("libvirtd",),
    listening=("libvirt-sock",),
    security=("apparmor",),
)


def healthy_pc():
    iommu = Iommu(units=("dmar0",), groups=16, firmware_tables=("DMAR",))
    memory = Memory(total_kib=64 << 20)
    return replace(two_seat_pc(), iommu=iommu, memory=memory, platform=HEALTHY)


def alarms(host, wish=None):
    return {
        (finding.severity, finding.subject): finding.fix
        for finding in check(host, wish)
        if finding.severity != "note"
    }


def test_a_healthy_pc_gives_no_alarm():
    assert alarms(healthy_pc()) == {}


def test_a_wish_that_fits_gives_no_alarm():
    assert alarms(healthy_pc(), two_seat_wish()) == {}


@pytest.mark.parametrize("broken", BREAKAGES, ids=lambda b: b.name)
def test_each_breakage_gives_its_alarm_and_no_other(broken):
    pc = healthy_pc()
    host = replace(
        pc,
        platform=replace(HEALTHY, **broken.platform),
        iommu=replace(pc.iommu, **broken.iommu),
    )

    found = alarms(host)

    assert list(found) == [broken.alarm]
    assert broken.fix in found[broken.alarm]


@pytest.mark.parametrize(
    ("os", "boot", "fix"),
    [
        (
            "debian",
            "grub",
            "(or grub.d beside it); sudo update-grub; reboot",
        ),
        ("arch", "grub", "sudo grub-mkconfig -o /boot/grub/grub.cfg; reboot"),
        ("fedora", "grubby", 'sudo grubby --update-kernel=ALL --args="intel_iommu=on"; reboot'),
        ("fedora", "ostree", "sudo rpm-ostree kargs --append-if-missing=intel_iommu=on; reboot"),
        ("arch", "systemd-boot", "the options line of each entry in /boot/loader/entries"),
        (
            "arch",
            "kernel-install",
            "add intel_iommu=on to /etc/kernel/cmdline; sudo kernel-install add-all; reboot",
        ),
        ("else", "", "the kernel's command line of your boot loader"),
    ],
)
def test_the_fix_is_that_of_the_boot_loader(os, boot, fix):
    assert fix in argument_fix(Platform(os=os, boot=boot), add="intel_iommu=on")


@pytest.mark.parametrize(
    ("platform", "program"),
    [
        (Platform(os="ubuntu", os_like=("debian",)), "apt install"),
        (Platform(os="fedora", boot="grubby"), "dnf install"),
        (Platform(os="fedora", boot="ostree"), "rpm-ostree install"),
        (Platform(os="arch"), "pacman -S"),
    ],
)
def test_the_packages_are_those_of_the_distribution(platform, program):
    assert program in install_fix(platform)


def test_an_argument_that_leaves_remapping_off_is_named_and_an_unsafe_setting_is_no_refusal():
    unsafe = "vfio_iommu_type1.allow_unsafe_interrupts=1"
    platform = replace(HEALTHY, remaps_interrupts=False, cmdline=f"quiet intremap=off {unsafe}")

    (found,) = [
        f for f in check(replace(healthy_pc(), platform=platform)) if f.severity == "warning"
    ]

    assert "refuse" not in found.words
    assert "a guest can raise the host's interrupts" in found.words
    assert found.evidence.endswith(f"/proc/cmdline: intremap=off; /proc/cmdline: {unsafe}")


@pytest.mark.parametrize(
    "changes",
    [
        {"cmdline": "vfio_iommu_type1.allow_unsafe_interrupts=0"},
        {"builtin": ("vfio_iommu_type1",)},
        {"settings": (Setting("/etc/modules", 1, "vfio_iommu_type1 allow_unsafe_interrupts=1"),)},
    ],
    ids=["no", "built in", "no list of options"],
)
def test_an_unsafe_setting_that_does_nothing_is_no_comfort(changes):
    line = Setting("/etc/modprobe.d/v.conf", 1, "options vfio_iommu_type1 allow_unsafe_interrupts")
    given = {"remaps_interrupts": False, "settings": (line,)} | changes

    found = alarms(replace(healthy_pc(), platform=replace(HEALTHY, **given)))

    assert list(found) == [("error", "interrupt remapping")]


@pytest.mark.parametrize(
    ("modules", "missing"),
    [
        (("vfio", "vfio_pci"), "no vfio_iommu_type1"),
        (("vfio_pci",), "no vfio and no vfio_iommu_type1"),
    ],
)
def test_a_kernel_with_part_of_vfio_is_told_which_module_it_lacks(modules, missing):
    host = replace(healthy_pc(), platform=replace(HEALTHY, modules=modules))

    (found,) = [f for f in check(host) if f.subject == "VFIO"]

    assert found.words.endswith(missing)
    assert found.evidence.endswith(missing)
    assert "/lib/modules/6.12.1-amd64/modules.dep" in found.evidence


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("/etc/modprobe.d/a.conf", "options i915 enable_gvt=0"),
        ("/etc/modprobe.d/a.conf", "options i915 enable_gvt=off enable_guc=3"),
        ("/etc/modprobe.d/a.conf", "options nouveau enable_gvt=1"),
        ("/etc/modprobe.d/a.conf", "blacklist kvmgt"),
        ("/etc/modprobe.d/a.conf", "install kvmgt /bin/false"),
        ("/etc/modprobe.d/a.conf", "options pci-stub ids=10de:2786"),
        ("/etc/modprobe.d/a.conf", "options"),
        ("/etc/modules-load.d/a.conf", "vfio-pci"),
    ],
)
def test_a_line_that_does_no_harm_is_silent(file, text):
    host = replace(healthy_pc(), platform=replace(HEALTHY, settings=(Setting(file, 1, text),)))

    assert alarms(host) == {}


@pytest.mark.parametrize(
    "cmdline",
    [
        "i915.enable_gvt=N i915.enable_guc=1",
        "rd.driver.pre=vfio-pci rd.driver.blacklist=kvmgt",
        "pci-stub.ids=10de:2786,ffff:ffff",
        "intremap=no_x2apic_optout",
        "intremap=off",  # and remapping is on all the same: this kernel does not know the word
    ],
)
def test_an_argument_that_does_no_harm_is_silent(cmdline):
    assert alarms(replace(healthy_pc(), platform=replace(HEALTHY, cmdline=cmdline))) == {}


def test_too_little_memory_is_said_before_the_guest_fails():
    host = replace(healthy_pc(), memory=Memory(total_kib=4 << 20))

    assert list(alarms(host, two_seat_wish())) == [("error", "seats")]


def test_what_does_not_fit_the_machine_is_an_error():
    pc = healthy_pc()
    host = replace(pc, pci=tuple(d for d in pc.pci if d.address != address(LEFT_GPU)))

    assert ("error", "seats") in alarms(host, two_seat_wish())


def test_a_card_that_shares_its_group_with_a_disk_is_said():
    pc = healthy_pc()
    moved = tuple(replace(d, iommu_group=1) if str(d.address) == DISK else d for d in pc.pci)

    found = [f for f in check(replace(pc, pci=moved)) if LEFT_GPU in f.subject]

    assert DISK in found[0].words
    assert "another slot" in found[0].fix


def test_what_no_tool_cures_is_said_before_money_is_spent():
    notes = {f.subject: str(f) for f in check(healthy_pc()) if f.severity == "note"}

    assert "Vanguard" in notes["anti-cheat"] and "before you buy" in notes["anti-cheat"]
    assert "Apple's own computers only" in notes["macOS"]
    assert "stop the seats first" in notes["suspend"]


def test_the_worst_comes_first():
    host = replace(healthy_pc(), platform=replace(HEALTHY, kvm=False, cmdline="video=efifb:off"))

    assert [f.severity for f in check(host)][:3] == ["error", "warning", "note"]


def test_a_fix_names_the_line_of_the_boot_loaders_file_where_the_word_stands():
    platform = Platform(
        os="debian",
        boot="grub",
        boot_lines=(
            Setting("/etc/default/grub", 9, 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'),
            Setting("/etc/default/grub", 10, 'GRUB_CMDLINE_LINUX="iommu=off ro"'),
            Setting("/etc/default/grub.d/z.cfg", 1, 'GRUB_CMDLINE_LINUX_DEFAULT="splash"'),
        ),
    )

    assert argument_fix(platform, add="intel_iommu=on", remove="iommu=off") == (
        "take iommu=off out of line 10 of /etc/default/grub (GRUB_CMDLINE_LINUX); "
        "add intel_iommu=on to line 1 of /etc/default/grub.d/z.cfg (GRUB_CMDLINE_LINUX_DEFAULT); "
        "sudo update-grub; reboot"
    )


@pytest.mark.parametrize(
    ("boot", "lines", "fix"),
    [
        (
            "grub",  # edited, and not run since
            (
                ("/etc/default/grub", 'GRUB_CMDLINE_LINUX="intel_iommu=on iommu=pt"'),
                ("/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'),
            ),
            "sudo update-grub; reboot",
        ),
        (
            "grub",  # the first of these is overruled
            (
                ("/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="intel_iommu=on"'),
                ("/etc/default/grub.d/z.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="iommu=pt"'),
            ),
            "add intel_iommu=on to line 2 of /etc/default/grub.d/z.cfg "
            "(GRUB_CMDLINE_LINUX_DEFAULT); sudo update-grub; reboot",
        ),
        (
            "systemd-boot",
            (
                ("/efi/loader/entries/a.conf", "options ro intel_iommu=on"),
                ("/efi/loader/entries/a.conf", "options iommu=pt"),
                ("/efi/loader/entries/b.conf", "options ro iommu=pt"),
            ),
            "add intel_iommu=on to line 3 of /efi/loader/entries/b.conf; reboot",
        ),
        (
            "kernel-install",
            (("/etc/kernel/cmdline", "ro intel_iommu=on iommu=pt"),),
            "sudo dpkg-reconfigure linux-image-$(uname -r); reboot",
        ),
    ],
)
def test_what_stands_in_the_boot_loaders_file_already_is_not_added_again(boot, lines, fix):
    lines = tuple(Setting(file, n, text) for n, (file, text) in enumerate(lines, 1))
    platform = Platform(os="debian", boot=boot, boot_lines=lines)

    assert argument_fix(platform, add="intel_iommu=on iommu=pt") == fix


def test_hardware_kernel_and_groups_are_three_answers():
    pc = healthy_pc()
    off = replace(pc, iommu=Iommu(firmware_tables=("DMAR",)))

    found = {f.subject: f.severity for f in check(off) if f.subject.startswith("IOMMU")}

    assert found == {"IOMMU kernel": "error", "IOMMU hardware": "note", "IOMMU groups": "note"}


def test_a_picture_without_framebuffer_is_no_old_recipe_on_an_old_kernel():
    platform = replace(HEALTHY, kernel="5.15.0", cmdline="video=vesafb:off,efifb:off")

    assert alarms(replace(healthy_pc(), platform=platform)) == {}
    newer = replace(platform, kernel="6.12")
    assert list(alarms(replace(healthy_pc(), platform=newer))) == [
        ("warning", "video=vesafb:off,efifb:off")
    ]


def test_what_confines_guests_is_said_and_never_to_be_turned_off():
    for security in (("apparmor",), ("selinux enforcing",), ("apparmor", "selinux permissive")):
        host = replace(healthy_pc(), platform=replace(HEALTHY, security=security))
        (said,) = [f for f in check(host) if f.subject == "confinement"]
        assert (said.severity, said.fix) == ("note", "")


def test_a_host_without_a_platform_is_not_guessed_at():
    assert alarms(two_seat_pc()) == {}


def test_the_platform_comes_back_from_json():
    host = replace(healthy_pc(), platform=replace(HEALTHY, settings=(Setting("/a", 1, "b"),)))

    assert parse_host(render_host(host)).platform == host.platform


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(machines(), st.text())
def test_a_finding_is_one_harmless_line(host, text):
    platform = replace(
        HEALTHY, cmdline=f"vfio-pci.ids={text} intremap={text}", direct_groups=(1, 2, 3)
    )
    lines = (f"vfio_virqfd {text}", f"options vfio-pci ids={text}", f"options {text}", text)
    lines = tuple(Setting("/etc/modules", n, line) for n, line in enumerate(lines, 1))
    platform = replace(platform, settings=lines)

    for finding in check(replace(host, platform=platform)):
        assert str(finding).isprintable()
