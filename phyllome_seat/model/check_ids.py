"""What ``ids=`` of vfio-pci and pci-stub takes, which is every function of that id, the host's too.

Both take ids alike: drivers/vfio/pci/vfio_pci.c and drivers/pci/pci-stub.c.
"""

from __future__ import annotations

import re

from phyllome_seat.model.check_fix import argument_fix, line_fix
from phyllome_seat.model.check_option import Option, find_options, option_fix
from phyllome_seat.model.devices import Host
from phyllome_seat.model.finding import Finding
from phyllome_seat.model.platform import Platform
from phyllome_seat.model.protect import protect

_TAKERS = ("vfio_pci", "pci_stub")
_WHY = " (phyllome-seat binds by address)"


def check_ids(host: Host, platform: Platform) -> list[Finding]:
    """Return which functions are taken that the host needs, and which twins are taken alike."""
    needed = protect(host).pci
    found = []
    for option in find_options(platform):
        if option.module not in _TAKERS or option.name != "ids":
            continue
        where = f"{option.line.file}:{option.line.line}" if option.line else "/proc/cmdline"
        for entry in dict.fromkeys(option.value.lower().split(",")):
            wanted = ":".join(entry.split(":")[:2])
            twins = [d for d in host.pci if f"{d.id.vendor:04x}:{d.id.device:04x}" == wanted]
            fix = _without_id(platform, option, entry)
            for twin in twins:
                reasons = needed.get(twin.address)
                if reasons:
                    words = f"ids={entry} takes it at boot{_WHY}, and it {reasons[0].words}"
                    found.append(Finding("error", str(twin.address), words, where, fix))
            if len(twins) > 1 and not any(twin.address in needed for twin in twins):
                words = f"takes {', '.join(str(twin.address) for twin in twins)} alike{_WHY}"
                found.append(Finding("warning", f"ids={entry}", words, where, fix))
    return found


def _without_id(platform: Platform, option: Option, entry: str) -> str:
    """Return how one id goes: where it is the only one, with what it stands in."""
    if set(option.value.lower().split(",")) == {entry}:
        return option_fix(platform, option)
    if option.line is not None:
        return line_fix(platform, option.line, _as_written(option.line.text, entry))
    name, _, ids = option.word.partition("=")
    rest = [one for one in ids.strip('"').split(",") if one.lower() != entry]
    return argument_fix(platform, remove=option.word, add=f"{name}={','.join(rest)}")


def _as_written(text: str, entry: str) -> str:
    """Return an id of a line with its comma."""
    found = re.search(rf"{re.escape(entry)},|,{re.escape(entry)}", text, re.I)
    return found[0] if found else entry
