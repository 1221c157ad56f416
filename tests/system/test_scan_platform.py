"""What a system says of itself, from small trees of files."""

import pytest

from phyllome_seat.model.devices import Setting
from phyllome_seat.system.scan_platform import read_platform
from tests.system.trees import make_tree

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
