"""Run inside a PC: all that setting up seats may change there, and what two looks differ in.

``python3 compare.py look FILE [EARLIER]`` and ``python3 compare.py diff FILE FILE``. It imports
nothing of the project, so that no mistake of the project can hide itself here. With an earlier look
a file is read again only where the kernel says it changed: a processor in software is slow.

What is left out, and why:

- ``seen.json``: what is remembered of monitors and keyboards stays; and the folder it is in with
  its empty folder ``before``, but not what would be in there.
- ``/var/log`` is no part of it: logs grow.
- `LIBVIRTS`: the AppArmor profile that libvirt writes when a domain starts, and leaves.
- `CLOCKWORK`: what systemd writes as time goes by.
- ``/run/phyllome-seat/lock``: it names the process that had the lock last.
- The lab's own list of monitors, which names cards in the order they came.
- Modules that were loaded stay loaded, with their drivers and the classes they bring.
- In udev's database, when a device was seen and under which number: a device that comes back is
  counted anew by the kernel (``input7``, ``event4``, ``card1``, ``usb3``), and so is its minor. Of
  tags, those a device has count, not all it ever had, which udev keeps until the device goes.
  Whether a sound card is analog is asked when the card comes, by a rule of ALSA's, and known only
  once the card's codec was there before: at the first boot it was not.
- Units of devices (their names have those numbers); whether a service, a socket or a mount runs
  that ends by itself when nobody asks it anything. Which units there are and which are enabled is
  files and links, and looked at as such.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOTS = ("/etc", "/var/lib", "/run/phyllome-seat", "/run/systemd/system", "/run/systemd/transient")
OURS = "/var/lib/phyllome-seat"
STAYS = (OURS, f"{OURS}/before", f"{OURS}/seen.json")
LOCK = "/run/phyllome-seat/lock"
MONITORS = "/etc/modprobe.d/phyllome-lab.conf"
# Stamps of timers, the time of the last synchronisation, systemd-random-seed(8).
CLOCKWORK = re.compile(r"/var/lib/systemd/(timers/.*|timesync/clock|random-seed)")
LIBVIRTS = re.compile(r"/etc/apparmor\.d/libvirt/libvirt-[0-9a-f-]{36}(\.files)?")
MOVING = re.compile(f"{CLOCKWORK.pattern}|{LIBVIRTS.pattern}")

# Properties that count: moments, event numbers, minors, numbers of buses, USB devices, sound cards.
COUNTED = {
    *("USEC_INITIALIZED", "SEQNUM", "MINOR", "BUSNUM", "DEVNUM", "DISKSEQ", "SYNTH_UUID"),
    *("TAGS", "ALSA_CARD_NUMBER", "ALSA_CARD_HDA_ANALOG"),
}
NUMBERS = (
    (re.compile(r"\b(input|event|mouse|js|card|renderD|controlC|fb|usb|hidraw|usbmon)\d+"), r"\1#"),
    (re.compile(r"\b(wakeup|vfio|hdaudioC|hwC|pcmC|midiC)\d+"), r"\1#"),
    (re.compile(r"(?<=/)\d+-(?=[\d.]+(:[\d.]+)?(/|$))"), "#-"),  # 3-1.2:1.0: on USB bus 3
    (re.compile(r"(?<=-Virtual-)\d+"), "#"),  # a connector, counted over all cards
    (re.compile(r"\b([0-9A-F]{4}:[0-9A-F]{4}:[0-9A-F]{4})\.[0-9A-F]{4}\b"), r"\1.#"),  # HID
    (re.compile(r"\bbus/usb/\d+/\d+"), "bus/usb/#/#"),
)
OWN_CLASSES = re.compile(r"/(module|bus/[^/]+/drivers|class)/|/devices/virtual/(vfio|misc)\b")

UNIT_KINDS = "timer,path,target,swap"

Look = dict[str, dict[str, object]]


def look(earlier: Look) -> Look:
    """Return everything, by section and name; ``unread`` is for the next look alone."""
    found, unread = files(earlier)
    return {
        "files": found,
        "unread": unread,
        "domains": domains(),  # before units: asking starts libvirtd if it is idle
        "functions": functions(),
        "udev": udev(),
        "units": units(),
    }


def files(earlier: Look) -> tuple[dict[str, object], dict[str, object]]:
    """Return kind, mode, owner, and hash or target of each file and folder; and what says whether
    a file was written to since: inode and time of change, inode(7). No program can set the latter.
    """
    found: dict[str, object] = {}
    unread: dict[str, object] = {}
    for path in paths():
        state = os.lstat(path)
        mode = f"{stat.filemode(state.st_mode)} {state.st_uid}:{state.st_gid}"
        if stat.S_ISDIR(state.st_mode) and path.startswith("/run/"):
            continue  # dies with the boot; what is in it counts
        if stat.S_ISREG(state.st_mode):
            unread[path] = [state.st_ino, state.st_ctime_ns, state.st_size]
            known = earlier.get("unread", {}).get(path) == unread[path]
            found[path] = [mode, earlier["files"][path][1] if known else digest(path)]
        else:
            found[path] = [mode, str(Path(path).readlink()) if stat.S_ISLNK(state.st_mode) else ""]
    return found, unread


def paths() -> Iterator[str]:
    for root in ROOTS:
        for folder, folders, names in os.walk(root):
            for path in (f"{folder}/{name}" for name in (*folders, *names)):
                if path not in (*STAYS, LOCK, MONITORS) and not MOVING.fullmatch(path):
                    yield path


def digest(path: str) -> str:
    with open(path, "rb") as content:  # noqa: PTH123 - file_digest wants a file
        return hashlib.file_digest(content, "sha256").hexdigest()


def domains() -> dict[str, object]:
    """Return each domain's inactive XML with its secrets, whether it runs and starts by itself."""
    names = virsh("list --all --name").split()
    if not names:
        return {}
    running, by_itself, *definitions = virsh(
        "list --name",
        "list --all --autostart --name",
        *(f"dumpxml --inactive --security-info {name}" for name in names),
    ).split(MARK)
    return {
        name: {
            "xml": xml,
            "running": name in running.split(),
            "autostart": name in by_itself.split(),
        }
        for name, xml in zip(names, definitions, strict=True)
    }


MARK = "= and then ="  # `virsh -q` ends no line after an echo


def virsh(*commands: str) -> str:
    """Return what these say, with `MARK` between them; one program, since each takes long."""
    return output("virsh", "-q", f"; echo '{MARK}'; ".join(commands))


def functions() -> dict[str, object]:
    """Return driver and override of every PCI function."""
    found: dict[str, object] = {}
    for function in sorted(Path("/sys/bus/pci/devices").iterdir()):
        driver = function / "driver"
        found[function.name] = {
            "driver": driver.readlink().name if driver.is_symlink() else None,
            "driver_override": (function / "driver_override").read_text().strip(),
        }
    return found


def udev() -> dict[str, object]:
    """Return udev's database: for each path of a device, its lines, with numbers taken out.

    Paths that differ in numbers alone are one path here, with the lines of all.
    """
    found: dict[str, list[list[str]]] = {}
    for block in output("udevadm", "info", "--export-db").strip().split("\n\n"):
        path, *lines = block.splitlines()
        if not OWN_CLASSES.search(path):
            kept = sorted(without_numbers(line) for line in lines if not is_counted(line))
            found.setdefault(without_numbers(path), []).append(kept)
    return {path: sorted(blocks) for path, blocks in found.items()}


def is_counted(line: str) -> bool:
    """Return whether a line of ``udevadm info`` says but a number: udevadm(8), "info"."""
    kind, _, rest = line.partition(": ")
    return kind in {"M", "R", "D", "Q", "I", "J"} or (kind == "E" and rest.split("=")[0] in COUNTED)


def without_numbers(line: str) -> str:
    for numbers, instead in NUMBERS:
        line = numbers.sub(instead, line)
    # Several names or tags in one line come in no order.
    kind, _, rest = line.partition("=")
    if kind in {"E: CURRENT_TAGS", "E: DEVLINKS"}:
        separator = ":" if kind == "E: CURRENT_TAGS" else " "
        return f"{kind}={' '.join(sorted(rest.split(separator)))}"
    return line


def units() -> dict[str, object]:
    """Return which units are up, and which failed."""
    show = ("systemctl", "--no-legend", "--plain", "--full", "list-units")
    up = output(*show, f"--type={UNIT_KINDS}").splitlines()
    failed = output(*show, "--failed").splitlines()
    return {name: active for name, _, active, *_ in map(str.split, up + failed)}


def output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def diff(before: Look, after: Look) -> list[str]:
    """Return a line for each thing that one look has otherwise than the other."""
    return [
        f"{section}: {name}: {words(was)} -> {words(now)}"
        for section in before.keys() - {"unread"}
        for name in sorted(before[section].keys() | after[section].keys())
        if (was := before[section].get(name)) != (now := after[section].get(name))
    ]


def words(thing: object) -> str:
    return "nothing" if thing is None else json.dumps(thing)


def main(command: str, first: str, second: str = "") -> None:
    looks = [json.loads(Path(name).read_text()) for name in (first, second) if Path(name).is_file()]
    if command == "diff":
        for line in diff(*looks):
            print(line)
    else:
        Path(first).write_text(json.dumps(look(looks[-1] if looks else {})))


if __name__ == "__main__":
    main(*sys.argv[1:])
