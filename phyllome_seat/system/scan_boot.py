r"""How the kernel's arguments are kept here, and what makes the initramfs: for `check`.

What booted tells more than what lies about. Boot loaders write their name into a variable of the
firmware (systemd.io/BOOT_LOADER_INTERFACE; GRUB by its module bli), and a kernel that came as one
image with its arguments has StubInfo there (systemd-stub(7)). In the arguments ``BOOT_IMAGE=`` is
GRUB's, ``initrd=\EFI\...`` is from a loader that starts the kernel as a program of the firmware's
(Linux, Documentation/admin-guide/efi-stub.rst).
"""

from __future__ import annotations

import re
import shlex

from phyllome_seat.model.printable import one_line
from phyllome_seat.system.sysfs import Sysfs

_VARIABLES = "sys/firmware/efi/efivars"
_VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_ENTRIES = ("boot/loader/entries", "efi/loader/entries", "boot/efi/loader/entries")
_LOADERS = ("boot/loader/loader.conf", "efi/loader/loader.conf", "boot/efi/loader/loader.conf")
_INITRAMFS = ("update-initramfs", "dracut", "mkinitcpio")
_IMAGE = re.compile(r"^[A-Za-z0-9_]+_(?:uki|efi_image)=", re.M)  # mkinitcpio(8), About presets
_LIST = re.compile(r"(?<!\\);")  # of a key file, as glib writes them


def find_boot(sysfs: Sysfs) -> str:
    """Return how kernel arguments are kept: the values of `Platform`'s ``boot``."""
    if sysfs.exists("run/ostree-booted"):
        has_only_bootc = _is_program(sysfs, "bootc") and not _is_program(sysfs, "rpm-ostree")
        return "bootc" if has_only_bootc else "ostree"
    if _is_program(sysfs, "grubby"):  # Fedora's; its systemd-boot has one of that name too
        return "grubby"
    words = (sysfs.read("proc/cmdline") or "").split()
    loader = _read_loader(sysfs, words)
    is_image = sysfs.exists(f"{_VARIABLES}/StubInfo-{_VENDOR}")
    has_grub = sysfs.exists("etc/default/grub") and loader in ("", "grub") and not is_image
    if has_grub and (loader or not words):
        return "grub"
    other = _find_other(sysfs, words, loader, is_image=is_image)
    return "grub" if has_grub and other in ("", "systemd-boot") else other


def find_initramfs(sysfs: Sysfs) -> str:
    """Return what makes this system's initramfs: the values of `Platform`'s ``initramfs``."""
    if sysfs.exists("run/ostree-booted"):
        return _read_origin(sysfs) if _is_program(sysfs, "rpm-ostree") else ""
    return next((name for name in _INITRAMFS if _is_program(sysfs, name)), "")


def find_entries(sysfs: Sysfs) -> list[str]:
    """Return the paths of the boot loader's entries, of the first folder that has some."""
    for folder in _ENTRIES:
        names = [name for name in sysfs.list(folder) if name.endswith(".conf")]
        if names:
            return [f"{folder}/{name}" for name in names]
    return []


def is_made_entry(sysfs: Sysfs, path: str) -> bool:
    """Whether kernel-install made the entry, which its second line says: 90-loaderentry.install.

    One written by hand keeps its arguments, whatever stands in /etc/kernel/cmdline.
    """
    return "90-loaderentry" in (sysfs.read(path) or "")


def _is_program(sysfs: Sysfs, name: str) -> bool:
    return sysfs.exists(f"usr/bin/{name}") or sysfs.exists(f"usr/sbin/{name}")


def _read_loader(sysfs: Sysfs, words: list[str]) -> str:
    """Return the boot loader's own name in small letters, else what the arguments say, or ''."""
    value = sysfs.read_bytes(f"{_VARIABLES}/LoaderInfo-{_VENDOR}") or b""
    name = value[4:].decode("utf-16-le", "replace").rstrip("\0")  # four bytes of attributes first
    if name.strip():
        return one_line(name.split()[0].lower())
    if any(word.startswith("BOOT_IMAGE=") for word in words):
        return "grub"
    return "systemd-boot" if _starts_by_entry(words) else ""


def _starts_by_entry(words: list[str]) -> bool:
    return any(word.startswith("initrd=\\") for word in words)


def _find_other(sysfs: Sysfs, words: list[str], loader: str, *, is_image: bool) -> str:
    """Return what keeps the arguments where GRUB does not, as far as files say."""
    could_be_image = is_image or not (loader == "grub" or _starts_by_entry(words))
    if could_be_image and _makes_images(sysfs):
        return "mkinitcpio"
    entries = find_entries(sysfs)
    is_made = any(is_made_entry(sysfs, path) for path in entries)
    if sysfs.exists("etc/kernel/cmdline") and (is_image or is_made or not entries):
        return "kernel-install"
    is_systemd = loader == "systemd-boot" or (not loader and any(map(sysfs.exists, _LOADERS)))
    return "systemd-boot" if is_systemd and not is_image else ""


def _makes_images(sysfs: Sysfs) -> bool:
    """Whether mkinitcpio makes kernel, arguments and initramfs into one image."""
    folder = "etc/mkinitcpio.d"
    paths = [f"{folder}/{name}" for name in sysfs.list(folder) if name.endswith(".preset")]
    return any(_IMAGE.search(sysfs.read(path) or "") for path in paths)


def _read_origin(sysfs: Sysfs) -> str:
    """Return what the booted deployment says of its initramfs, which is the image's by default.

    Beside a deployment's folder lies its origin, a key file, with ``regenerate-initramfs``,
    ``initramfs-args`` and ``initramfs-etc`` in its group rpmostree: rpm-ostree, rust/src/origin.rs.
    """
    words = (sysfs.read("proc/cmdline") or "").split()
    path = next((word[len("ostree=") :] for word in words if word.startswith("ostree=/")), "")
    folder = sysfs.resolve(path.lstrip("/")) if path else None
    text = (sysfs.read(f"{folder}.origin") if folder else None) or ""
    group = text.partition("[rpmostree]")[2].partition("\n[")[0]
    pairs = [line.partition("=") for line in group.splitlines()]
    keys = {key.strip(): value.strip() for key, _, value in pairs}
    if keys.get("regenerate-initramfs") == "true":
        args = [arg for arg in _LIST.split(keys.get("initramfs-args", "")) if arg]
        return one_line(
            " ".join(["rpm-ostree initramfs", *(f"--arg={shlex.quote(a)}" for a in args)])
        )
    return "rpm-ostree initramfs-etc" if keys.get("initramfs-etc") else "rpm-ostree"
