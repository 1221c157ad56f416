"""Settings of old recipes: what no longer works, what is in the way, what takes a card the host
needs.
"""

from __future__ import annotations

import re

from phyllome_seat.model.check_fix import argument_fix, line_fix
from phyllome_seat.model.devices import Host
from phyllome_seat.model.finding import Finding
from phyllome_seat.model.platform import Platform, Setting
from phyllome_seat.model.protect import protect

# Read in Linux 7.2: neither is a module any more; a stale entry has hung a boot.
_GONE = {"vfio_virqfd": "vfio has it since Linux 6.2", "vfio_mdev": "mdev has its own module"}
_GVT = "GVT-g ends with Comet Lake's graphics"
_IDS = re.compile(r"(?:vfio-pci\.|vfio_pci\.|\b)ids=(\S+)")
# one of the firmware's pictures, or several by commas: Documentation/fb/modedb.rst
_NO_PICTURE = re.compile(r"video=(?:(?:efifb|vesafb|simplefb):off,?)+")
_WHY = " (phyllome-seat binds by address)"
_UNSAFE = "allow_unsafe_interrupts"
_NEEDLESS = "lets guests raise the host's interrupts, and this PC needs no such thing"
_EVICTS = (6, 0)  # the first Linux whose vfio-pci removes console drivers: vfio_pci_core.c
_SLEEPS = ("suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate", "sleep")


def check_settings(host: Host) -> list[Finding]:
    """Return what is stale or takes too much; nothing where the `Platform` was not read."""
    platform = host.platform
    if platform is None:
        return []
    found = [finding for line in platform.settings for finding in _check_line(platform, line)]
    found += [finding for word in platform.cmdline.split() for finding in _check(platform, word)]
    return [*found, *_check_sleep(platform), *_check_ids(host, platform)]


def evicts_boot_picture(platform: Platform) -> bool:
    """Whether the kernel's vfio-pci takes the firmware's picture off a VGA card by itself."""
    numbers = re.match(r"(\d+)\.(\d+)", platform.kernel)
    return numbers is None or (int(numbers[1]), int(numbers[2])) >= _EVICTS


def _check(platform: Platform, word: str) -> list[Finding]:
    """Return what is wrong with one of the kernel's arguments."""
    severity, words = "warning", ""
    if word == "i915.enable_gvt=1":
        words = f"is stale: {_GVT}"
    elif _NO_PICTURE.fullmatch(word) and evicts_boot_picture(platform):
        words = "is stale: vfio-pci evicts the boot framebuffer itself"
    elif _is_needless(platform, word):
        words = _NEEDLESS
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
    if names[0] not in ("blacklist", "alias", "deny"):
        for name in dict.fromkeys(names):
            if name in _GONE:
                # of one module in a line, the line; of several in mkinitcpio's list, the word
                word = "" if len(names) <= 2 or names[0] == "options" else _spelt(line, name)
                fix = line_fix(platform, line, word)
                found.append(Finding("warning", name, f"is stale: {_GONE[name]}", evidence, fix))
    fix = line_fix(platform, line)
    if names[0] == "install" and names[1:2] and names[1].startswith(("vfio", "kvm")):
        refuses = any(end in names for end in ("/bin/true", "/bin/false", "/usr/bin/true"))
        refuses = refuses or "/usr/bin/false" in names
        if refuses and names[1] not in platform.builtin:
            words = "modprobe was told not to load it"
            found.append(Finding("error", names[1], words, evidence, fix))
    if _is_needless(platform, line.text):
        found.append(Finding("warning", _UNSAFE, _NEEDLESS, evidence, fix))
    return found


def _is_needless(platform: Platform, text: str) -> bool:
    """Whether VFIO was told to do without interrupt remapping, on a PC that has it."""
    is_on = re.search(rf"{_UNSAFE}=[1yY]\b", text) is not None
    return is_on and platform.remaps_interrupts is True


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


def _check_ids(host: Host, platform: Platform) -> list[Finding]:
    """Find what ``ids=`` takes, which is every function of that id, the host's too."""
    needed = protect(host).pci
    found = []
    for where, text, line in _id_texts(platform):
        for entry in ",".join(_IDS.findall(text)).lower().split(","):
            wanted = ":".join(entry.split(":")[:2])
            twins = [d for d in host.pci if f"{d.id.vendor:04x}:{d.id.device:04x}" == wanted]
            fix = _without_id(platform, text, entry, line)
            for twin in twins:
                reasons = needed.get(twin.address)
                if reasons:
                    words = f"ids={entry} takes it at boot{_WHY}, and it {reasons[0].words}"
                    found.append(Finding("error", str(twin.address), words, where, fix))
            if len(twins) > 1 and not any(twin.address in needed for twin in twins):
                words = f"takes {', '.join(str(twin.address) for twin in twins)} alike{_WHY}"
                found.append(Finding("warning", f"ids={entry}", words, where, fix))
    return found


def _id_texts(platform: Platform) -> list[tuple[str, str, Setting | None]]:
    lines = [line for line in platform.settings if "vfio" in line.text]
    found: list[tuple[str, str, Setting | None]] = [
        (f"{line.file}:{line.line}", line.text, line) for line in lines
    ]
    words = (word.partition("=") for word in platform.cmdline.split())
    names = ("vfio-pci.ids", "vfio_pci.ids")
    return found + [("/proc/cmdline", f"{k}={v}", None) for k, _, v in words if k in names]


def _without_id(platform: Platform, text: str, entry: str, line: Setting | None) -> str:
    """Return how one id goes: where it is the only one, with what it stands in."""
    is_alone = re.search(rf"ids={re.escape(entry)}(\s|$)", text.lower()) is not None
    if line is not None:
        is_all = is_alone and len(text.split()) == 3  # options vfio-pci ids=...
        return line_fix(platform, line, "" if is_all else _as_written(text, entry))
    if is_alone:
        return argument_fix(platform, remove=text)
    rest = [one for one in text.partition("=")[2].split(",") if one.lower() != entry]
    name = text.partition("=")[0]
    return argument_fix(platform, remove=text, add=f"{name}={','.join(rest)}")


def _as_written(text: str, entry: str) -> str:
    """Return an id of a line with its comma, or with ids= where it is the only one."""
    found = re.search(
        rf"{re.escape(entry)},|,{re.escape(entry)}|ids={re.escape(entry)}", text, re.I
    )
    return found[0] if found else entry
