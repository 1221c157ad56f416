"""What `check` says to type on other people's systems, whole, from trees of their files.

None was tried there: what is held here is the text.
"""

from __future__ import annotations

import json

import pytest

from phyllome_seat.cli import main
from tests.system import distributions as pcs
from tests.system.trees import make_tree

OFF, ON = "intel_iommu=off", "intel_iommu=on"
GRUB = "line 6 of /etc/default/grub (GRUB_CMDLINE_LINUX_DEFAULT)"
KDUMP = "line 1 of /etc/default/grub.d/kdump-tools.cfg (GRUB_CMDLINE_LINUX_DEFAULT)"
TENTH = "line 3 of /boot/loader/entries/arch-6.12.10.conf"
NINTH = "line 3 of /boot/loader/entries/arch-6.12.9.conf"
CMDLINE = "line 1 of /etc/kernel/cmdline"

ARGUMENTS = {  # what takes the argument out and puts the other in, and what puts it in alone
    pcs.debian: (
        f"take {OFF} out of {GRUB}; add {ON} to {GRUB}; sudo update-grub; reboot",
        f"add {ON} to {GRUB}; sudo update-grub; reboot",
    ),
    pcs.ubuntu: (
        f"take {OFF} out of line 7 of /etc/default/grub (GRUB_CMDLINE_LINUX); "
        f"add {ON} to {KDUMP}; sudo update-grub; reboot",
        f"add {ON} to {KDUMP}; sudo update-grub; reboot",
    ),
    pcs.fedora: (
        f'sudo grubby --update-kernel=ALL --args="{ON}" --remove-args="{OFF}"; reboot',
        f'sudo grubby --update-kernel=ALL --args="{ON}"; reboot',
    ),
    pcs.silverblue: (
        f"sudo rpm-ostree kargs --append-if-missing={ON} --delete-if-present={OFF}; reboot",
        f"sudo rpm-ostree kargs --append-if-missing={ON}; reboot",
    ),
    pcs.bootc: (
        f"take {OFF} out of kargs in /usr/lib/bootc/kargs.d of your image; "
        f"add {ON} to kargs in /usr/lib/bootc/kargs.d of your image; "
        "build the image; sudo bootc upgrade; reboot",
        f"add {ON} to kargs in /usr/lib/bootc/kargs.d of your image; "
        "build the image; sudo bootc upgrade; reboot",
    ),
    pcs.arch_entries: (
        f"take {OFF} out of {TENTH}; take {OFF} out of {NINTH}; "
        f"add {ON} to {TENTH}; add {ON} to {NINTH}; add {ON} to {CMDLINE}; reboot",
        f"add {ON} to {TENTH}; add {ON} to {NINTH}; add {ON} to {CMDLINE}; reboot",
    ),
    pcs.arch_image: (
        f"take {OFF} out of {CMDLINE}; add {ON} to {CMDLINE}; sudo mkinitcpio -P; reboot",
        f"add {ON} to {CMDLINE}; sudo mkinitcpio -P; reboot",
    ),
    pcs.arch_grub: (
        f"take {OFF} out of {GRUB}; add {ON} to {GRUB}; "
        "sudo grub-mkconfig -o /boot/grub/grub.cfg; reboot",
        f"add {ON} to {GRUB}; sudo grub-mkconfig -o /boot/grub/grub.cfg; reboot",
    ),
    pcs.debian_entries: (
        f"take {OFF} out of {CMDLINE}; add {ON} to {CMDLINE}; "
        "sudo update-initramfs -u -k all; reboot",
        f"add {ON} to {CMDLINE}; sudo update-initramfs -u -k all; reboot",
    ),
}
NAMES = [distribution.__name__ for distribution in ARGUMENTS]


def fix(tmp_path, capsys, files, subject):
    """Return the one fix of `check` for that subject, on the PC of those files."""
    make_tree(tmp_path, files)
    main(["--sysroot", str(tmp_path), "check", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    (found,) = (finding["fix"] for finding in findings if finding["subject"] == subject)
    return found


@pytest.mark.parametrize("distribution", ARGUMENTS, ids=NAMES)
def test_an_iommu_that_was_switched_off_is_switched_on_where_the_argument_stands(
    tmp_path, capsys, distribution
):
    found = fix(tmp_path, capsys, distribution(OFF), "IOMMU kernel")

    assert found == ARGUMENTS[distribution][0]


@pytest.mark.parametrize("distribution", ARGUMENTS, ids=NAMES)
def test_an_argument_that_is_missing_is_added_where_this_boot_keeps_them(
    tmp_path, capsys, distribution
):
    found = fix(tmp_path, capsys, distribution(""), "IOMMU kernel")

    assert found == ARGUMENTS[distribution][1]


def test_entries_that_no_file_is_behind_are_all_named(tmp_path, capsys):
    files = pcs.debian_entries(OFF)
    del files["etc/kernel/cmdline"]

    entries = [
        f"line 5 of /boot/efi/loader/entries/{pcs.MACHINE}-{version}.conf"
        for version in ("6.12.43", pcs.KERNEL)
    ]
    assert fix(tmp_path, capsys, files, "IOMMU kernel") == "; ".join(
        [f"take {OFF} out of {entry}" for entry in entries]
        + [f"add {ON} to {entry}" for entry in entries]
        + ["reboot"]
    )


def test_an_entry_by_hand_is_changed_beside_those_that_are_made_anew(tmp_path, capsys):
    files = pcs.debian_entries(OFF)
    files["etc/kernel/cmdline"] = f"{pcs.ROOT} ro quiet\n"
    files["boot/efi/loader/entries/rescue.conf"] = f"linux /r\noptions {pcs.ROOT} {OFF}\n"

    rescue = "line 2 of /boot/efi/loader/entries/rescue.conf"
    assert fix(tmp_path, capsys, files, "IOMMU kernel") == (
        f"take {OFF} out of {rescue}; add {ON} to {rescue}; add {ON} to {CMDLINE}; "
        "sudo update-initramfs -u -k all; reboot"
    )


def test_an_argument_that_only_entries_made_anew_have_goes_with_them(tmp_path, capsys):
    files = pcs.debian_entries(OFF)
    files["etc/kernel/cmdline"] = f"{pcs.ROOT} ro quiet\n"

    found = fix(tmp_path, capsys, files, "IOMMU kernel")

    assert found == f"add {ON} to {CMDLINE}; sudo update-initramfs -u -k all; reboot"


def test_an_entry_of_several_lines_of_options_gets_an_argument_once(tmp_path, capsys):
    files = pcs.debian_entries(OFF)
    del files["etc/kernel/cmdline"], files[f"boot/efi/loader/entries/{pcs.MACHINE}-6.12.43.conf"]
    entry = f"boot/efi/loader/entries/{pcs.MACHINE}-{pcs.KERNEL}.conf"
    files[entry] = f"linux /a\noptions {pcs.ROOT} ro\noptions {OFF} quiet\n"

    assert fix(tmp_path, capsys, files, "IOMMU kernel") == (
        f"take {OFF} out of line 3 of /{entry}; add {ON} to line 2 of /{entry}; reboot"
    )


@pytest.mark.parametrize(
    ("system", "again"),
    [
        ("debian", "sudo dpkg-reconfigure linux-image-$(uname -r)"),
        ("arch", "sudo kernel-install add-all"),
    ],
)
def test_with_dracut_and_systemd_boot_a_kernel_is_installed_anew(tmp_path, capsys, system, again):
    files = pcs.debian_entries(OFF)
    del files["usr/sbin/update-initramfs"]
    files |= {"usr/bin/dracut": "", "etc/os-release": f"ID={system}\n"}
    files["etc/modules-load.d/a.conf"] = "vfio_virqfd\n"

    argument = fix(tmp_path / "a", capsys, files, "IOMMU kernel")
    line = fix(tmp_path / "b", capsys, files, "vfio_virqfd")

    assert argument == f"take {OFF} out of {CMDLINE}; add {ON} to {CMDLINE}; {again}; reboot"
    assert line == f"delete line 1 of /etc/modules-load.d/a.conf; {again}"


def test_arguments_in_files_that_count_together_are_added_once(tmp_path, capsys):
    files = pcs.arch_image(OFF)
    files["etc/cmdline.d/10-root.conf"] = f"{pcs.ROOT}\nrw\n"
    files["etc/cmdline.d/20-iommu.conf"] = f"# VT-d\n{OFF}\n"

    assert fix(tmp_path, capsys, files, "IOMMU kernel") == (
        f"take {OFF} out of line 2 of /etc/cmdline.d/20-iommu.conf; "
        f"add {ON} to line 1 of /etc/cmdline.d/10-root.conf; sudo mkinitcpio -P; reboot"
    )


def test_an_argument_alone_in_its_variable_is_found(tmp_path, capsys):
    files = pcs.debian(OFF) | {"etc/default/grub": f"export  GRUB_CMDLINE_LINUX={OFF}\n"}

    found = fix(tmp_path, capsys, files, "IOMMU kernel")

    assert found.startswith(f"take {OFF} out of line 1 of /etc/default/grub (GRUB_CMDLINE_LINUX); ")


# What is run after a line of modprobe.d that the initramfs heeds, and one of modules-load.d,
# first of the PC's owner and then of a package.
DEBIANS, ARCHS = "; sudo update-initramfs -u", "; sudo mkinitcpio -P"
DRACUT = "; sudo dracut --force --regenerate-all"
TRACK = "; sudo rpm-ostree initramfs-etc --track=/etc/{}/vfio.conf"
REMADE = {
    pcs.debian: (DEBIANS, DEBIANS, "", ""),
    pcs.ubuntu: (DEBIANS, DEBIANS, "", ""),
    pcs.fedora: (DRACUT, DRACUT, DRACUT, DRACUT),
    pcs.silverblue: ("", TRACK, "", TRACK),
    pcs.bootc: ("", "", "", ""),
    pcs.arch_entries: (ARCHS, ARCHS, "", ""),
    pcs.arch_image: (ARCHS, ARCHS, "", ""),
    pcs.arch_grub: (ARCHS, ARCHS, "", ""),
    pcs.debian_entries: (DEBIANS, DEBIANS, "", ""),
}
STALE = {  # folder: the file, and what is done with its line
    "modprobe.d": ("# old\nsoftdep drm pre: vfio_virqfd vfio-pci\n", "take vfio_virqfd out of"),
    "modules-load.d": ("# old\nvfio_virqfd\n", "delete"),
}


@pytest.mark.parametrize("of_a_package", [False, True], ids=["own", "of a package"])
@pytest.mark.parametrize("folder", STALE)
@pytest.mark.parametrize("distribution", REMADE, ids=NAMES)
def test_a_stale_line_is_taken_out_where_it_stays_out(
    tmp_path, capsys, distribution, folder, of_a_package
):
    text, what = STALE[folder]
    root = "usr/lib" if of_a_package else "etc"
    files = distribution(ON) | {f"{root}/{folder}/vfio.conf": text}

    found = fix(tmp_path, capsys, files, "vfio_virqfd")

    file = f"/etc/{folder}/vfio.conf"
    copy = f"sudo install -D -m 644 /{root}/{folder}/vfio.conf {file}; " if of_a_package else ""
    after = REMADE[distribution][2 * (folder == "modules-load.d") + of_a_package].format(folder)
    assert found == f"{copy}{what} line 2 of {file}{after}"


@pytest.mark.parametrize(
    ("origin", "after"),
    [
        (
            "regenerate-initramfs=true\n",
            "; sudo rpm-ostree initramfs --disable; sudo rpm-ostree initramfs --enable",
        ),
        (
            "regenerate-initramfs=true\ninitramfs-args=--add-drivers;vfio vfio_pci;\n",
            "; sudo rpm-ostree initramfs --enable --arg=--add-drivers --arg='vfio vfio_pci'",
        ),
        ("regenerate-initramfs=false\n", ""),
        (
            "initramfs-etc=/etc/modules-load.d/vfio.conf;\n",
            "; sudo rpm-ostree initramfs-etc --force-sync",
        ),
    ],
)
def test_an_image_whose_owner_had_its_initramfs_changed_gets_it_made_anew(
    tmp_path, capsys, origin, after
):
    files = pcs.silverblue(ON, origin=origin)
    files["etc/modules-load.d/vfio.conf"] = "vfio_virqfd\n"

    found = fix(tmp_path, capsys, files, "vfio_virqfd")

    assert found == f"delete line 1 of /etc/modules-load.d/vfio.conf{after}"


def test_a_line_that_is_written_anew_at_each_start_is_overridden_too(tmp_path, capsys):
    files = pcs.debian(ON) | {"run/modprobe.d/a.conf": "options vfio_mdev x=1\n"}

    assert fix(tmp_path, capsys, files, "vfio_mdev") == (
        "sudo install -D -m 644 /run/modprobe.d/a.conf /etc/modprobe.d/a.conf; "
        "delete line 1 of /etc/modprobe.d/a.conf"
    )


@pytest.mark.parametrize(
    ("distribution", "before"),
    [
        (pcs.debian, "delete line 1 of /usr/local/lib/modprobe.d/a.conf"),
        (
            pcs.bootc,
            "sudo install -D -m 644 /usr/local/lib/modprobe.d/a.conf /etc/modprobe.d/a.conf; "
            "delete line 1 of /etc/modprobe.d/a.conf",
        ),
    ],
    ids=["debian", "bootc"],
)
def test_what_is_in_usr_local_is_its_owners_unless_an_image_has_it(
    tmp_path, capsys, distribution, before
):
    text = "options vfio_mdev x=1\n"
    files = distribution(ON) | {"usr/local/lib/modprobe.d/a.conf": text}

    assert fix(tmp_path, capsys, files, "vfio_mdev") == before


def test_each_folder_of_a_packages_has_its_own_in_etc(tmp_path, capsys):
    files = pcs.debian(ON)
    files["usr/lib/systemd/logind.conf.d/sleep.conf"] = "[Login]\nIdleAction=suspend\n"
    make_tree(tmp_path, files)

    main(["--sysroot", str(tmp_path), "check"])

    assert (
        "; sudo install -D -m 644 /usr/lib/systemd/logind.conf.d/sleep.conf "
        "/etc/systemd/logind.conf.d/sleep.conf; "
        "delete line 2 of /etc/systemd/logind.conf.d/sleep.conf; "
        "sudo systemctl kill --signal=HUP systemd-logind\n"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("distribution", "words"),
    [
        (pcs.debian, "sudo apt install libvirt-daemon-system qemu-system-x86 ovmf"),
        (pcs.silverblue, "sudo rpm-ostree install libvirt-daemon-driver-qemu qemu-kvm; reboot"),
        (
            pcs.bootc,
            "put libvirt and QEMU into your image; build the image; sudo bootc upgrade; reboot",
        ),
    ],
)
def test_programs_are_installed_where_they_stay(tmp_path, capsys, distribution, words):
    assert fix(tmp_path, capsys, distribution(ON), "QEMU") == words
