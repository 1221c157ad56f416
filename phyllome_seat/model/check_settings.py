"""Settings of old recipes: what no longer works, what is in the way, what takes a card the host
needs.
"""

from __future__ import annotations

import re

from phyllome_seat.model.check_fix import argument_fix, line_fix
from phyllome_seat.model.check_ids import check_ids
from phyllome_seat.model.check_option import Option, find_last, find_options, option_fix
from phyllome_seat.model.devices import Host
from phyllome_seat.model.finding import Finding
from phyllome_seat.model.platform import Platform, Setting

_GVT = "GVT-g ends with Comet Lake's graphics"
# Read in Linux 7.2: the first two are no modules any more; a stale entry has hung a boot.
_STALE = {
    "vfio_virqfd": "vfio has it since Linux 6.2",
    "vfio_mdev": "mdev has its own module",
    "kvmgt": _GVT,  # drivers/gpu/drm/i915/intel_gvt.c
}
# Lists of modules to load: dracut.cmdline(7), systemd-modules-load(8), which takes - for _ too.
_LOADS = ("rd.driver.pre", "rd.driver.post", "modules_load", "rd.modules_load")
# one of the firmware's pictures, or several by commas: Documentation/fb/modedb.rst
_NO_PICTURE = re.compile(r"video=(?:(?:efifb|vesafb|simplefb):off,?)+")
_UNSAFE = ("vfio_iommu_type1", "allow_unsafe_interrupts")
_NEEDLESS = "lets guests raise the host's interrupts, and this PC needs no such thing"
_EVICTS = (6, 0)  # the first Linux whose vfio-pci removes console drivers: vfio_pci_core.c
_SLEEPS = ("suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate", "sleep")


def check_settings(host: Host) -> list[Finding]:
    """Return what is stale or takes too much; nothing where the `Platform` was not read."""
    platform = host.platform
    if platform is None:
        return []
    found = [finding for line in platform.settings for finding in _check_line(platform, line)]
    for word in platform.cmdline.split():
        found += [*_check(platform, word), *_check_loads(platform, word)]
    found += [*_check_gvt(platform), *_check_unsafe(platform), *_check_sleep(platform)]
    return [*found, *check_ids(host, platform)]


def evicts_boot_picture(platform: Platform) -> bool:
    """Whether the kernel's vfio-pci takes the firmware's picture off a VGA card by itself."""
    numbers = re.match(r"(\d+)\.(\d+)", platform.kernel)
    return numbers is None or (int(numbers[1]), int(numbers[2])) >= _EVICTS


def _check(platform: Platform, word: str) -> list[Finding]:
    """Return what is wrong with one of the kernel's arguments."""
    severity, words = "warning", ""
    if _NO_PICTURE.fullmatch(word) and evicts_boot_picture(platform):
        words = "is stale: vfio-pci evicts the boot framebuffer itself"
    elif word.startswith("pcie_acs_override="):  # in no mainline kernel: kernel-parameters.txt
        words = "splits groups on paper only: a guest's device may reach another's memory"
    elif word.startswith("module_blacklist=") and "vfio" in word:
        severity, words = "error", "keeps the kernel from loading VFIO"
    if not words:
        return []
    fix = argument_fix(platform, remove=word)
    return [Finding(severity, word, words, "/proc/cmdline", fix)]


def _check_line(platform: Platform, line: Setting) -> list[Finding]:
    """Return what is wrong with one line of a file."""
    evidence = f"{line.file}:{line.line}: {line.text}"
    names = re.split(r"[\s\"'()=,]+", line.text.replace("-", "_"))
    found = []
    if names[0] not in ("blacklist", "alias", "deny", "install"):
        for name in dict.fromkeys(names):
            if name in _STALE:
                # of one module in a line, the line; of several in mkinitcpio's list, the word
                word = "" if len(names) <= 2 or names[0] == "options" else _spelt(line, name)
                fix = line_fix(platform, line, word)
                found.append(Finding("warning", name, f"is stale: {_STALE[name]}", evidence, fix))
    fix = line_fix(platform, line)
    is_ours = names[1:2] and names[1].startswith(("vfio", "kvm")) and names[1] not in _STALE
    if names[0] == "install" and is_ours:
        refuses = any(end in names for end in ("/bin/true", "/bin/false", "/usr/bin/true"))
        refuses = refuses or "/usr/bin/false" in names
        if refuses and names[1] not in platform.builtin:
            words = "modprobe was told not to load it"
            found.append(Finding("error", names[1], words, evidence, fix))
    return found


def _check_loads(platform: Platform, word: str) -> list[Finding]:
    """Return which modules one of the kernel's arguments loads that are stale."""
    key, _, value = word.partition("=")
    if key.replace("-", "_") not in _LOADS:
        return []
    found, modules = [], value.split(",")
    for module in modules:
        name = module.replace("-", "_")
        if name in _STALE:
            rest = ",".join(other for other in modules if other != module)
            fix = argument_fix(platform, add=f"{key}={rest}" if rest else "", remove=word)
            evidence = f"/proc/cmdline: {word}"
            found.append(Finding("warning", name, f"is stale: {_STALE[name]}", evidence, fix))
    return found


def _check_gvt(platform: Platform) -> list[Finding]:
    """Find that i915 was told to share its card, wherever that stands."""
    return [
        Finding(
            "warning",
            option.name if option.line else option.word,
            f"is stale: {_GVT}",
            option.evidence,
            option_fix(platform, option),
        )
        for option in find_options(platform)
        if (option.module, option.name) == ("i915", "enable_gvt") and option.is_true
    ]


def find_unsafe(platform: Platform) -> Option | None:
    """Return what told VFIO to do without interrupt remapping."""
    option = find_last(platform, *_UNSAFE)
    return option if option and option.is_true else None


def _check_unsafe(platform: Platform) -> list[Finding]:
    """Find that it was told so on a PC that has it; `check_system` speaks of one that has not."""
    option = find_unsafe(platform)
    if option is None or platform.remaps_interrupts is not True:
        return []
    subject = option.name if option.line else option.word
    fix = option_fix(platform, option)
    return [Finding("warning", subject, _NEEDLESS, option.evidence, fix)]


def _spelt(line: Setting, name: str) -> str:
    """Return a module's name as the line writes it."""
    hyphens = name.replace("_", "-")
    return hyphens if hyphens in line.text else name


def _check_sleep(platform: Platform) -> list[Finding]:
    """Find that the PC sleeps by itself while guests run: of several lines the last counts."""
    lines = [line for line in platform.settings if line.text.startswith("IdleAction=")]
    if not lines or {"sleep.target", "suspend.target"} & set(platform.masked):
        return []
    if lines[-1].text.partition("=")[2] not in _SLEEPS:
        return []
    line = lines[-1]
    words = "the PC goes to sleep when nobody sits at the host itself, its seats' cards with it"
    # logind reads its files again at SIGHUP: systemd-logind.service(8)
    fix = line_fix(platform, line) + "; sudo systemctl kill --signal=HUP systemd-logind"
    return [Finding("warning", "suspend", words, f"{line.file}:{line.line}: {line.text}", fix)]
