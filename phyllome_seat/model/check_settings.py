"""Settings of old recipes: what no longer works, and what takes a card the host needs."""

from __future__ import annotations

import re

from phyllome_seat.model.check_fix import argument_fix
from phyllome_seat.model.devices import Host, Platform, Setting
from phyllome_seat.model.finding import Finding
from phyllome_seat.model.protect import protect

# Read in Linux 7.2: neither is a module any more; a stale entry has hung a boot.
_GONE = {"vfio_virqfd": "vfio has it since Linux 6.2", "vfio_mdev": "mdev has its own module"}
_ARGUMENTS = {
    "i915.enable_gvt=1": "GVT-g ends with Comet Lake's graphics",
    "video=efifb:off": "vfio-pci evicts the boot framebuffer itself",
}
_IDS = re.compile(r"(?:vfio-pci\.|vfio_pci\.|\b)ids=(\S+)")


def check_settings(host: Host) -> list[Finding]:
    """Return what is stale or takes too much; nothing where the `Platform` was not read."""
    platform = host.platform
    if platform is None:
        return []
    found = [finding for line in platform.settings for finding in _check_line(line)]
    words = platform.cmdline.split()
    for word, why in _ARGUMENTS.items():
        if word in words:
            fix = argument_fix(platform, remove=word)
            found.append(Finding("warning", word, f"is stale: {why}", "/proc/cmdline", fix))
    return found + _check_ids(host, platform)


def _check_line(line: Setting) -> list[Finding]:
    where = f"{line.file}:{line.line}"
    names = line.text.replace("-", "_").split()
    fix = f"delete that line, then rebuild the initramfs ({line.file})"
    return [
        Finding("warning", name, f"is stale: {why}", f"{where}: {line.text}", fix)
        for name, why in _GONE.items()
        if name in names and names[0] not in ("blacklist", "alias")
    ]


def _check_ids(host: Host, platform: Platform) -> list[Finding]:
    """Find what ``ids=`` takes, which is every function of that id, the host's too."""
    lines = [(f"{s.file}:{s.line}", s.text) for s in platform.settings if "vfio" in s.text]
    lines += [
        ("/proc/cmdline", word)
        for word in platform.cmdline.split()
        if word.startswith(("vfio-pci.ids=", "vfio_pci.ids="))
    ]
    needed = protect(host).pci
    found = []
    for where, text in lines:
        for entry in ",".join(_IDS.findall(text)).lower().split(","):
            wanted = ":".join(entry.split(":")[:2])
            twins = [d for d in host.pci if f"{d.id.vendor:04x}:{d.id.device:04x}" == wanted]
            fix = f"take {entry} out of {where}; phyllome-seat binds by address"
            for twin in twins:
                reasons = needed.get(twin.address)
                if reasons:
                    words = f"ids={entry} takes it at boot, and it {reasons[0].words}"
                    found.append(Finding("error", str(twin.address), words, where, fix))
            if len(twins) > 1 and not any(twin.address in needed for twin in twins):
                words = f"takes {', '.join(str(twin.address) for twin in twins)} alike"
                found.append(Finding("warning", f"ids={entry}", words, where, fix))
    return found
