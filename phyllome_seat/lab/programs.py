"""The programs a build runs: which are missing, and what they said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from phyllome_seat.lab.errors import BuildError

# program → the Debian package that has it
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mcopy": "mtools",
    "mkfs.vfat": "dosfstools",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "syslinux": "syslinux",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}

MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")  # starts the active partition
# what else they need, which `--no-install-recommends` leaves out → the Debian package that has it
_FILES = {MBR: "syslinux-common"}


def missing_programs() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the programs the lab needs and does not find, and the packages that have them."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = {name: pkg for name, pkg in _PROGRAMS.items() if not shutil.which(name, path=path)}
    missing |= {str(path): package for path, package in _FILES.items() if not path.exists()}
    return tuple(missing), tuple(dict.fromkeys(missing.values()))


def as_owner() -> list[str]:
    """Returns what to put before a command that must see the new system's files as their owner."""
    return [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]


def _leash() -> list[str]:
    """Returns what to put before a program so that it ends with this one, and all it started too.

    mmdebstrap does not end its apt and dpkg on a signal; the end of a PID namespace's first
    process ends all in it (pid_namespaces(7)). What it mounts goes too: --mount-proc brings a
    private mount namespace (unshare(1)). Without root, mmdebstrap makes both itself.
    """
    leash = ["setpriv", "--pdeathsig", "KILL"]
    if os.geteuid() == 0:
        leash += ["unshare", "--fork", "--pid", "--kill-child", "--mount-proc"]
    return leash


def run_logged(log: Path, argv: list[str], stdin: str = "") -> None:
    """Runs a build's program, its output in the log; BuildError with the log's tail."""
    environment = {
        **os.environ,
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
        # What a killed program leaves goes with the build's directory.
        "TMPDIR": str(log.parent),
    }
    with log.open("a") as output:
        output.write(f"+ {' '.join(argv)}\n")
        output.flush()
        process = subprocess.Popen(
            [*_leash(), *argv],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
        )
        try:
            process.communicate(stdin.encode())
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise BuildError(argv[0], tail)
