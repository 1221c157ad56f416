"""Recorded machines, monitors and input nodes, which stay outside the project: ``../shared/data``.

A test that reads them skips where they are absent and counts what it tested, so that a run can
say at its end how much of it there was.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

_DATA = Path(__file__).parents[2] / "shared" / "data"

MACHINES = (
    *("DELL_LATITUDEE6430", "DELL_POWEREDGE_R820_NVME", "DELL_VOSTRO_270", "DELL_XPS1340"),
    *("HOME_MADE", "HP_ELITEBOOK_835_13_INCH_G10", "LENOVO_E445", "LENOVO_T430S"),
    *("NVIDIA_DGX_STATION", "QEMU_KVM", "SAMSUNG_N310", "XEON"),
)
GROUPED = (
    *("64kramsystem_vga_passthrough", "64kramsystem_vga_passthrough_2"),
    *("64kramsystem_vga_passthrough_3", "64kramsystem_vga_passthrough_4"),
    *("Mistikan_hl_cluster", "OzzyHelix_virtio_guide", "sirspudd_chaos_reins"),
)

KINDS = ("machines", "monitors", "input nodes")
_tested: dict[str, set[str]] = {kind: set() for kind in KINDS}


def recorded(name: str) -> Path:
    """Return the path of recorded data, like ``evdev/nodes.jsonl``; skips the test without it."""
    path = _DATA / name
    if not path.exists():
        pytest.skip(f"no recorded data here: ../shared/data/{name}")
    return path


def read_archive(name: str) -> dict[str, bytes]:
    """Return the regular files of a recorded tar by their path in it, without unpacking it."""
    with tarfile.open(recorded(name)) as archive:
        return {
            member.name: content.read()
            for member in archive
            if member.isfile() and (content := archive.extractfile(member)) is not None
        }


class _Contents(tarfile.TarFile):
    """An archive unpacked without owners, modes and times: with them it takes twice as long."""

    def chown(self, *args, **kwargs):
        pass

    chmod = utime = chown


def unpack_archive(name: str, folder: Path) -> None:
    """Unpack a recorded tar into a folder, with the links that lead out that a /sys may have."""
    with _Contents.open(recorded(name)) as archive:
        # not what Python 3.14 refuses by default; Python 3.11.2 of Debian 12 has no filters yet
        archive.extraction_filter = lambda member, _: member
        archive.extractall(folder)


def count_tested(kind: str, name: str) -> None:
    """Count one recorded thing as tested; the same name twice is one. ``kind`` is of KINDS."""
    _tested[kind].add(name)


def tested() -> dict[str, list[str]]:
    """Return what was counted, by kind: of one process, where tests run in several."""
    return {kind: sorted(names) for kind, names in _tested.items()}


def summary() -> str:
    """Return the line that ends a run: what was tested of each kind, or NOT RUN."""
    counts = [
        f"{len(names)} {kind}" if names else f"{kind} NOT RUN" for kind, names in _tested.items()
    ]
    return "recorded: " + (", ".join(counts) if any(_tested.values()) else "NOT RUN")
