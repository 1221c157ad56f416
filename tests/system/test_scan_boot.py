"""What booted, and what was only left behind, from small trees of files."""

import pytest

from phyllome_seat.system.scan_boot import find_boot, find_initramfs
from tests.system.distributions import MACHINE, VARIABLE
from tests.system.trees import make_tree

LOADER, STUB = VARIABLE.format("LoaderInfo"), VARIABLE.format("StubInfo")
GRUB = {"etc/default/grub": ""}
FILE = {"etc/kernel/cmdline": "quiet\n"}
LOADER_CONF = {"boot/loader/loader.conf": ""}
MADE = {f"boot/loader/entries/{MACHINE}-6.1.conf": "# /usr/lib/.../90-loaderentry.install\n"}
BY_HAND = {"boot/loader/entries/a.conf": "options quiet\n"}
IMAGE = {"etc/mkinitcpio.d/linux.preset": "default_uki='/efi/a.efi'\n"}
NO_IMAGE = {"etc/mkinitcpio.d/linux.preset": "default_image=/a\n#default_uki='/efi/a.efi'\n"}
BY_GRUB = {"proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1\n"}
BY_ENTRY = {"proc/cmdline": "initrd=\\initrd.img root=/dev/sda1\n"}
BY_NEITHER = {"proc/cmdline": "root=/dev/sda1\n"}


def said(name):
    return {LOADER: b"\6\0\0\0" + name.encode("utf-16-le")}


@pytest.mark.parametrize(
    ("files", "boot"),
    [
        (GRUB | FILE | MADE | said("systemd-boot 257.9"), "kernel-install"),
        (GRUB | BY_HAND | said("systemd-boot 257.9"), "systemd-boot"),
        (GRUB | FILE | MADE | IMAGE | said("GRUB 2.12"), "grub"),
        (GRUB | FILE | MADE | IMAGE | BY_GRUB, "grub"),
        (GRUB | FILE | MADE | BY_ENTRY, "kernel-install"),
        (GRUB | FILE | BY_HAND | BY_ENTRY, "systemd-boot"),
        (GRUB | FILE | BY_HAND | IMAGE | BY_ENTRY, "systemd-boot"),
        (GRUB | FILE | IMAGE | BY_NEITHER, "mkinitcpio"),
        (GRUB | FILE | NO_IMAGE | BY_NEITHER, "kernel-install"),
        (GRUB | LOADER_CONF | BY_NEITHER, "grub"),
        (GRUB | FILE | {STUB: b""} | said("GRUB 2.12"), "kernel-install"),
        (GRUB | BY_HAND | {STUB: b""} | said("systemd-boot 257.9"), ""),
        (GRUB | LOADER_CONF | said("rEFInd 0.14.2"), ""),
        (LOADER_CONF | BY_HAND | said("Limine 10.1"), ""),
        (FILE | BY_GRUB, "kernel-install"),
        ({"run/ostree-booted": "", "usr/bin/bootc": ""}, "bootc"),
        ({"run/ostree-booted": "", "usr/bin/bootc": "", "usr/bin/rpm-ostree": ""}, "ostree"),
    ],
)
def test_what_booted_counts_and_not_what_was_left(tmp_path, files, boot):
    assert find_boot(make_tree(tmp_path, files)) == boot


@pytest.mark.parametrize("value", [b"", b"\6\0\0\0", b"\6\0\0\0\0\0", b"\6\0\0\0 \0", b"\6"])
def test_a_boot_loader_without_a_name_leaves_it_to_the_files(tmp_path, value):
    assert find_boot(make_tree(tmp_path, GRUB | {LOADER: value})) == "grub"


def test_a_boot_loader_whose_name_is_no_text_is_none_that_is_known(tmp_path):
    assert find_boot(make_tree(tmp_path, GRUB | {LOADER: b"\6\0\0\0\0\xd8x"})) == ""


@pytest.mark.parametrize("cmdline", ["", "ostree=", "ostree=/nowhere/0", "ostree=/../../etc"])
def test_an_image_whose_origin_is_not_to_be_had_has_the_images_initramfs(tmp_path, cmdline):
    files = {"run/ostree-booted": "", "usr/bin/rpm-ostree": "", "proc/cmdline": cmdline}

    assert find_initramfs(make_tree(tmp_path, files)) == "rpm-ostree"


def test_arguments_of_an_origin_are_one_line_that_a_shell_takes_as_they_are(tmp_path):
    origin = "[rpmostree]\nregenerate-initramfs=true\ninitramfs-args=-a;x\x1b[2J$(id);\n"
    files = {
        "run/ostree-booted": "",
        "usr/bin/rpm-ostree": "",
        "proc/cmdline": "ostree=/ostree/deploy/x/0",
        "ostree/deploy/x/0/a": "",
        "ostree/deploy/x/0.origin": origin,
    }

    found = find_initramfs(make_tree(tmp_path, files))

    assert found.isprintable()
    assert found.startswith("rpm-ostree initramfs --arg=-a --arg='x")
    assert found.endswith("$(id)'")
