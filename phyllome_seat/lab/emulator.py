"""The QEMU that emulates the PC: this machine's, or where that is too old, Debian's newer one.

QEMU 7.2, as in Debian 12, emulates two processors that patch and run the same code wrongly: a
translation made of half-patched code stays in use. A kernel that flips static keys, as with the
first guest of KVM, then ends in `Oops: int3`; 10.0 took 217 first and last guests in 40 s beside
two busy processors. Besides, a boot that takes 10.0 half a minute takes 7.2 two. So a newer one is
unpacked into the cache and run from there: nothing is installed. It is 10.0 and not 11.1, under
which guests of the PC stood still (docs/lab.md, Traps).
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass

from phyllome_seat.lab.packages import packed
from phyllome_seat.lab.places import Say, cache_directory, key, locked, made_whole, prune, silent
from phyllome_seat.lab.programs import run_logged

OLDEST = (9, 0)
_RELEASE = "trixie"
_PACKAGES = ("qemu-system-x86", "seabios")
_NAME = "qemu-system-x86_64"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_WANTED = (f"./usr/bin/{_NAME}", f"./{_LIBRARIES}/*", "./usr/share/qemu/*", "./usr/share/seabios/*")


@dataclass(frozen=True, slots=True)
class Emulator:
    """A QEMU: how its command line begins, and what to add to its environment."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    version: str

    @property
    def environ(self) -> dict[str, str]:
        """The whole environment to start it in."""
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        return {**os.environ, "PATH": path, **dict(self.environment)}


def emulator(say: Say = silent) -> Emulator:
    """Returns this machine's QEMU, or Debian's newer one, unpacked into the cache if need be."""
    own = _look((_NAME,))
    if _number(own.version) >= OLDEST:
        return own
    with locked(cache_directory() / "image.lock", say):
        return _newer(own.version, say)


def _newer(own: str, say: Say) -> Emulator:
    directory = cache_directory() / f"emulator-{key(_RELEASE, _PACKAGES, _WANTED)}"
    if not directory.exists():
        say(f"unpacking a newer QEMU than this machine's {own} (half a minute)")
        prune(cache_directory(), "emulator-*", keep=1)
        with made_whole(directory) as scratch:
            tar = packed(_RELEASE, _PACKAGES, scratch)
            unpack = ["tar", "--extract", "--no-same-owner", "--file", str(tar)]
            unpack += ["--directory", str(scratch), "--wildcards", *_WANTED]
            run_logged(scratch / "build.log", unpack)
            tar.unlink()
    directory.touch()
    libraries = directory / _LIBRARIES
    # Another Debian's program runs with that Debian's C library: ld.so(8).
    loader = (str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries))
    share = f"{directory}/usr/share"
    firmware = ("-L", f"{share}/qemu", "-L", f"{share}/seabios")
    argv = (*loader, "--argv0", _NAME, f"{directory}/usr/bin/{_NAME}", *firmware)
    return _look(argv, (("QEMU_MODULE_DIR", str(libraries / "qemu")),))


def _look(argv: tuple[str, ...], environment: tuple[tuple[str, str], ...] = ()) -> Emulator:
    said = subprocess.run(
        [*argv, "--version"],
        env=Emulator(argv, environment, "").environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return Emulator(argv, environment, said.splitlines()[0].removeprefix("QEMU emulator version "))


def _number(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else (0,)
