"""What a system says of itself, from small trees of files."""

import pytest

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.devices import PciDevice
from phyllome_seat.model.platform import Bar, BootFramebuffer, Setting
from phyllome_seat.system.scan_platform import read_platform
from tests.system.trees import Link, make_tree

DEBIAN = {
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13"\nID=debian\n',
    "etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n",
    "proc/cmdline": "root=/dev/sda1 quiet\n",
    "proc/sys/kernel/osrelease": "6.12.1-amd64\n",
    "proc/cpuinfo": "vendor_id\t: AuthenticAMD\nflags\t\t: fpu svm\n\nflags\t\t: vmx\n",
    "proc/interrupts": " 24:  5   IR-PCI-MSI-0000:00:14.0  0-edge  xhci_hcd\n",
    "dev/kvm": "",
    "lib/modules/6.12.1-amd64/modules.dep": (
        "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n"
        "kernel/drivers/vfio/vfio.ko.xz:\n"
    ),
    "lib/modules/6.12.1-amd64/modules.builtin": "kernel/drivers/vfio/vfio_iommu_type1.ko\n",
    "sys/kernel/iommu_groups/7/reserved_regions": (
        "0x00000000fee00000 0x00000000feefffff msi\n0x000000007e000000 0x7fffffff direct\n"
    ),
    "sys/kernel/iommu_groups/8/reserved_regions": "0x0 0x1 direct-relaxable\n",
    "etc/modprobe.d/vfio.conf": "# vfio\noptions vfio-pci ids=10de:2786\n",
    "etc/modprobe.d/sound.conf": "options snd_hda_intel power_save=1\n",
    "usr/sbin/libvirtd": "",
}


def test_a_debian_is_read(tmp_path):
    platform = read_platform(make_tree(tmp_path, DEBIAN))

    assert (platform.os, platform.boot, platform.kernel) == ("debian", "grub", "6.12.1-amd64")
    assert (platform.cpu_vendor, platform.cpu_flags) == ("AuthenticAMD", ("svm",))
    assert (platform.kvm, platform.remaps_interrupts) == (True, True)
    assert platform.modules == ("vfio", "vfio_iommu_type1", "vfio_pci")
    assert platform.builtin == ("vfio_iommu_type1",)
    assert platform.direct_groups == (7,)
    assert platform.programs == ("/usr/sbin/libvirtd",)
    assert platform.settings == (
        Setting("/etc/modprobe.d/vfio.conf", 2, "options vfio-pci ids=10de:2786"),
    )


@pytest.mark.parametrize(
    ("files", "boot"),
    [
        ({"run/ostree-booted": "", "usr/bin/grubby": ""}, "ostree"),
        ({"usr/sbin/grubby": "", "etc/default/grub": ""}, "grubby"),
        ({"etc/default/grub": ""}, "grub"),
        ({"etc/kernel/cmdline": "quiet"}, "kernel-install"),
        ({"boot/loader/loader.conf": ""}, "systemd-boot"),
        ({}, ""),
    ],
)
def test_the_keeper_of_the_kernels_arguments_is_found(tmp_path, files, boot):
    assert read_platform(make_tree(tmp_path, files)).boot == boot


def test_an_empty_tree_says_nothing(tmp_path):
    platform = read_platform(make_tree(tmp_path, {}))

    assert (platform.kvm, platform.remaps_interrupts, platform.modules) == (None, None, ())


def test_settings_are_found_in_every_folder_and_the_first_of_a_name_counts(tmp_path):
    tree = make_tree(
        tmp_path,
        {
            "etc/modules-load.d/a.conf": "\n# vfio\nvfio_virqfd\n",
            "usr/lib/modules-load.d/a.conf": "vfio-mdev\n",
            "run/modprobe.d/b.conf": "options vfio-pci ids=1:2\n",
            "usr/lib/modprobe.d/b.conf.off": "options vfio-pci ids=3:4\n",
            "etc/mkinitcpio.conf": "MODULES=(vfio_virqfd)\n",
            "etc/systemd/logind.conf": "[Login]\n#IdleAction=ignore\nIdleAction=suspend\n",
            "etc/sysctl.d/m.conf": "vm.nr_hugepages=8\nvm.swappiness=1\n",
            "etc/apparmor.d/local/abstractions/libvirt-qemu": "  deny /dev/vfio/* rw,\n/dev/x r,\n",
            "etc/apparmor.d/local/usr.sbin.cupsd": "deny /dev/vfio/* rw,\n",
            "etc/libvirt/qemu.conf": '#x\ncgroup_device_acl = [\n "/dev/null", # no\n]\nuser="x"\n',
        },
    )

    assert [(s.file, s.line, s.text) for s in read_platform(tree).settings] == [
        ("/run/modprobe.d/b.conf", 1, "options vfio-pci ids=1:2"),
        ("/etc/modules-load.d/a.conf", 3, "vfio_virqfd"),
        ("/etc/sysctl.d/m.conf", 1, "vm.nr_hugepages=8"),
        ("/etc/mkinitcpio.conf", 1, "MODULES=(vfio_virqfd)"),
        ("/etc/systemd/logind.conf", 3, "IdleAction=suspend"),
        ("/etc/apparmor.d/local/abstractions/libvirt-qemu", 1, "deny /dev/vfio/* rw,"),
        ("/etc/libvirt/qemu.conf", 2, 'cgroup_device_acl = [ "/dev/null",'),
    ]


def test_lines_about_gvt_and_pci_stub_are_found_however_they_are_spelt(tmp_path):
    tree = make_tree(
        tmp_path,
        {
            "etc/modprobe.d/a.conf": "options i915 enable_gvt=1\noptions i915 enable_guc=3\n",
            "etc/modprobe.d/b.conf": "options pci_stub ids=1:2\noptions pci-stub ids=1:2\n",
            "etc/initramfs-tools/modules": "kvmgt\npci_stub ids=1:2\next4\n",
        },
    )

    assert [(s.file.rpartition("/")[2], s.line) for s in read_platform(tree).settings] == [
        ("a.conf", 1),
        ("b.conf", 1),
        ("b.conf", 2),
        ("modules", 1),
        ("modules", 2),
    ]


def test_the_lines_of_the_boot_loader_are_read_in_its_order(tmp_path):
    tree = make_tree(
        tmp_path,
        {
            "etc/default/grub": 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\n',
            "etc/default/grub.d/b.cfg": 'GRUB_CMDLINE_LINUX="ro"\n',
            "etc/default/grub.d/b.old": 'GRUB_CMDLINE_LINUX="rw"\n',
        },
    )

    assert read_platform(tree).boot_lines == (
        Setting("/etc/default/grub", 2, 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'),
        Setting("/etc/default/grub.d/b.cfg", 1, 'GRUB_CMDLINE_LINUX="ro"'),
    )


def test_entries_of_systemd_boot_are_read(tmp_path):
    files = {
        "boot/loader/loader.conf": "",
        "boot/loader/entries/a.conf": "title A\noptions root=/dev/sda1 quiet\n",
    }

    assert read_platform(make_tree(tmp_path, files)).boot_lines == (
        Setting("/boot/loader/entries/a.conf", 2, "options root=/dev/sda1 quiet"),
    )


UNIX = (
    "Num       RefCount Protocol Flags    Type St Inode Path\n"
    "000: 00000002 00000000 00010000 0001 01 17 /run/libvirt/libvirt-sock\n"
    "000: 00000003 00000000 00000000 0001 03 18 /run/libvirt/virtqemud-sock\n"
    "000: 00000002 00000000 00010000 0001 01 19 /run/user/1000/libvirt/virtqemud-sock\n"
)


def test_who_listens_runs_and_is_masked_is_read(tmp_path):
    tree = make_tree(
        tmp_path,
        {
            "proc/net/unix": UNIX,
            "sys/fs/cgroup/system.slice/libvirtd.service/cgroup.procs": "812\n",
            "sys/fs/cgroup/system.slice/virtqemud.service/cgroup.procs": "",
            "etc/systemd/system/suspend.target": Link("dev/null"),
            "etc/systemd/system/libvirtd.service": Link("lib/systemd/system/libvirtd.service"),
            "sys/module/apparmor/parameters/enabled": "Y\n",
            "sys/fs/selinux/enforce": "1",
            "sys/fs/selinux/booleans/virt_use_usb": "0 0",
            "dev/kvm": "not a device",
        },
    )

    platform = read_platform(tree)

    assert (platform.listening, platform.daemons) == (("libvirt-sock",), ("libvirtd",))
    assert platform.masked == ("suspend.target",)
    assert platform.security == ("apparmor", "selinux enforcing")
    assert platform.booleans_off == ("virt_use_usb",)
    assert platform.nodes == ()


IOMEM = """\
00000000-00000fff : Reserved
00000000-00000000 : PCI Bus 0000:00
  00000000-00000000 : PCI Bus 0000:01
    00000000-00000000 : 0000:01:00.0
      00000000-00000000 : BOOTFB
        00000000-00000000 : simpledrm
  00000000-00000000 : 0000:02:00.0
    00000000-00000000 : nouveau
"""


def test_the_card_with_the_boot_picture_and_what_its_bars_could_show_are_read(tmp_path):
    card = "sys/bus/pci/devices/0000:01:00.0"
    tree = make_tree(
        tmp_path,
        {
            "proc/iomem": IOMEM,
            f"{card}/resource": (
                "0x00000000a0000000 0x00000000a0ffffff 0x0000000000040200\n"
                "0x0000006000000000 0x000000600fffffff 0x000000000014220c\n"
            ),
            f"{card}/resource1_resize": "0000000000007fc0\n",
        },
    )
    where = PciAddress.parse("0000:01:00.0")
    pci = (PciDevice(where, PciId(0x10DE, 0x2786), 0x030000),)

    platform = read_platform(tree, pci)

    assert platform.framebuffers == (BootFramebuffer(where, "simpledrm"),)
    assert platform.bars == (Bar(where, 1, 256 << 20, 16 << 30),)
    make_tree(tmp_path, {f"{card}/power/runtime_status": "suspended\n"})
    assert read_platform(tree, pci).bars == ()
