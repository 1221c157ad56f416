"""The part of a plan that is udev's: our rules file, and who must look at it again.

Between writing rules and udev looking again a run can end. A mark that is written first and
removed last tells the next run that udev has not looked yet; it lives in ``/run``, because a boot
looks at everything.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import Host
from phyllome_seat.model.rules import HEADER, RULES_PATH, find_addresses, names_devices
from phyllome_seat.model.step import ReloadUdev, RemoveFile, Step, WriteFile

RELOAD_PATH = "/run/phyllome-seat/reload"


def plan_rules(rules: str, host: Host) -> list[Step]:
    """Return the steps from the rules file as it is to one that reads `rules`; empty removes it."""
    files = {file.path: file.content for file in host.files}
    old, mark = files.get(RULES_PATH, ""), files.get(RELOAD_PATH)
    if rules == old and mark is None:
        return []
    changed = "\n".join(set(rules.splitlines()) ^ set(old.splitlines()))
    devices = _affected(changed + (mark or ""), host)
    steps: list[Step] = []
    if rules != old:
        steps = [_mark(devices), _write(rules) if rules else RemoveFile(RULES_PATH)]
    return [*steps, ReloadUdev(devices), RemoveFile(RELOAD_PATH)]


def _affected(rules: str, host: Host) -> tuple[PciAddress, ...]:
    """Return the functions below which something may be seen differently now."""
    found = set(find_addresses(rules))
    if names_devices(rules):  # may be plugged in anywhere
        found.update(device.address for device in host.pci if device.is_usb_controller)
    return tuple(sorted(found & host.by_address.keys()))


def _mark(devices: tuple[PciAddress, ...]) -> WriteFile:
    lines = [HEADER + "udev is yet to look again at what is below", *map(str, devices)]
    why = "so that a run that ends here is completed by the next"
    return WriteFile(RELOAD_PATH, "\n".join(lines) + "\n", why)


def _write(rules: str) -> WriteFile:
    return WriteFile(RULES_PATH, rules, "keeps the host's desktop off what belongs to seats")
