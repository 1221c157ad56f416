"""How fast QEMU can be here: KVM where a kernel really boots under it, else software."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from phyllome_seat.lab.emulator import Emulator
from phyllome_seat.lab.places import Say, run_directory, silent

PROBE_TIMEOUT_S = 20.0
# Without a root file system a kernel that came up ends with this (init/do_mounts.c).
_BOOTED = b"VFS: Unable to mount root fs"


def acceleration(kernel: Path, emulator: Emulator, say: Say = silent) -> str:
    """Returns `kvm` or `tcg`; tried once per boot of this machine, then remembered.

    A /dev/kvm that opens says little: inside some virtual machines firmware runs under it and
    Linux hangs. So a kernel is booted, with a time limit. Guests of the PC need KVM in it, so the
    processor must also offer virtualisation to what runs under KVM.
    """
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    remembered = run_directory() / f"acceleration-{boot_id}"
    if not remembered.exists():
        found = "tcg"
        if os.access("/dev/kvm", os.R_OK | os.W_OK) and _nested():
            say(f"trying KVM (at most {PROBE_TIMEOUT_S:.0f} s)")
            found = "kvm" if boots(kernel, emulator, "kvm", "host", PROBE_TIMEOUT_S) else "tcg"
        if found == "tcg":
            say("no usable KVM: the PC is emulated in software, several times slower")
        remembered.write_text(found)
    return remembered.read_text()


def boots(kernel: Path, emulator: Emulator, accelerator: str, cpu: str, timeout_s: float) -> bool:
    """Returns whether a kernel boots up to looking for its root within the time."""
    with tempfile.TemporaryDirectory(prefix="phyllome-seat-") as scratch:
        log = Path(scratch) / "serial"
        argv = ["setpriv", "--pdeathsig", "KILL", *emulator.argv, "-nodefaults"]
        argv += ["-display", "none", "-no-reboot", "-accel", accelerator, "-cpu", cpu]
        argv += ["-machine", "q35", "-m", "512", "-kernel", str(kernel)]
        argv += ["-append", "console=ttyS0 panic=-1"]
        argv += ["-serial", f"file:{log}"]
        with suppress(subprocess.TimeoutExpired):  # what it has said by then decides
            subprocess.run(
                argv, env=emulator.environ, timeout=timeout_s, capture_output=True, check=False
            )
        return log.exists() and _BOOTED in log.read_bytes()


def _nested() -> bool:
    switches = Path("/sys/module").glob("kvm_*/parameters/nested")
    return any(switch.read_text().strip() in ("1", "Y") for switch in switches)
