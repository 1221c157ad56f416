"""`make bench`: speed and memory as ratios, each beside its limit; exits 1 when one is missed.

Two times that are compared were measured in one run, on one machine. The lab's PC is where the
limits hold; the machine this runs on is shown beside it where it has the programs.
``--no-lab`` leaves the PC out, and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from phyllome_seat.model.assign import assign  # noqa: E402 - found by the line above
from phyllome_seat.model.plan import plan  # noqa: E402
from phyllome_seat.system.scan import scan  # noqa: E402
from phyllome_seat.system.sysfs import Sysfs  # noqa: E402
from tests.bench import measure  # noqa: E402
from tests.bench.bench_watch import measure_watch  # noqa: E402
from tests.bench.big_tree import make_big_tree, wish_for  # noqa: E402
from tests.bench.row import Row  # noqa: E402

MACHINE = ROOT.parent / "shared/data/machines/HP_ELITEBOOK_835_13_INCH_G10.tar.xz"
# The largest of the recorded machines, and of those the one with the most cards for seats.
RECORDED = {
    "the largest recorded machine": ROOT.parent
    / "shared/data/machines/DELL_POWEREDGE_R820_NVME.tar.xz",
    "a recorded machine with four cards": ROOT.parent
    / "shared/data/machines/NVIDIA_DGX_STATION.tar.xz",
}
DESCRIPTION = ROOT / "examples/two-seat-gaming-pc/pc.yaml"
COMMAND = Path(sys.prefix) / "bin/phyllome-seat"
BLOCKS = 100  # 1,000 functions and 4,000 USB devices
TODAY = " + ".join(" ".join(argv) for argv in measure.TODAY.values())


def main() -> int:
    """Print the table and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-lab", action="store_true", help="do not boot the PC")
    args = parser.parse_args()
    now = datetime.now(UTC)
    print(f"{now:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"{'':76} {'measured':>10} {'limit':>8}")
    missed = False
    for row in rows(lab=not args.no_lab):
        print(row, flush=True)
        missed |= row.verdict == "MISSED"
    return 1 if missed else 0


def rows(*, lab: bool) -> Iterator[Row]:
    """Measure one thing after the other."""
    yield from compare_machine("PC", measure_in_pc() if lab else None, limited=True)
    yield from measure_watch(DESCRIPTION if lab else None, _say)
    yield from compare_machine("here", measure_here(), limited=False)
    yield measure_recorded()
    yield from measure_propose()
    with folder() as place:
        yield from measure_growth(place)


# -- one machine -----------------------------------------------------------------------------------


def compare_machine(where: str, found: dict[str, Any] | None, *, limited: bool) -> Iterator[Row]:
    """Return what was found on a machine as ratios, with their limits where they hold there."""
    limits = {"today": 0.6, "bare": 2.0, "help": 2.0, "memory": 40.0} if limited else {}
    found = found or {}
    today = [found.get(name) for name in measure.TODAY]

    def row(name: str, what: str, part: float | None, whole: float | None, unit: str = "x") -> Row:
        value = part / whole if part and whole else None
        return Row(f"{where}: {what}", value, limits.get(name), unit)

    whole = sum(seconds for seconds in today if seconds) if all(today) else None
    scan_s, bare_s = found.get("scan"), found.get("pass")
    yield row("today", f"scan --json / {TODAY}", scan_s, whole)
    yield row("", f"python3 -c pass / {TODAY}", bare_s, whole)
    yield row("bare", "scan in process / bare reads", found.get("in_process"), found.get("bare"))
    yield row("help", "--help / python3 -c pass", found.get("help"), bare_s)
    yield row("memory", "peak memory of scan", found.get("scan_peak_kib"), 1024, "MB")


def measure_in_pc() -> dict[str, Any]:
    """Boot the lab's PC and let it measure itself."""
    from phyllome_seat.lab.describe import read_description
    from phyllome_seat.lab.pc import Pc

    with Pc.open(read_description(DESCRIPTION), say=_say) as pc:
        pc.put("/root/measure.py", Path(measure.__file__).read_bytes())
        python = "$(sed -n '1s/^#!//p' $(command -v phyllome-seat))"
        run = f"{python} /root/measure.py phyllome-seat"
        done = pc.run(run, timeout_s=600, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure_here(root: str = "/") -> dict[str, Any]:
    """Return what this machine measures, by a small program: memory is inherited by a child."""
    command = [sys.executable, measure.__file__, str(COMMAND), root]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=_environment())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure_recorded() -> Row:
    """Hold the scan of a recorded notebook against bare reads of its files."""
    what = "recorded notebook: scan in process / bare reads"
    if not MACHINE.exists():
        return Row(what, None, 2.0)
    with folder() as place, tarfile.open(MACHINE) as archive:
        archive.extractall(place)  # our own data
        (sys_folder,) = place.rglob("run/udev/data")
        found = measure_here(str(sys_folder.parents[2]))
    return Row(what, found["in_process"] / found["bare"], 2.0)


def measure_propose() -> Iterator[Row]:
    """Return how long proposals and checks take where there is much to choose from."""
    from phyllome_seat.model.proposal import ProposalWishes
    from phyllome_seat.model.propose import propose
    from tests.bench.many_cards import many_cards

    host = many_cards()
    asked = ProposalWishes(count=8)
    seconds = _median(lambda: propose(host, asked))
    yield Row("propose 8 seats on 16 cards and 32 controllers", seconds, 2, "s")
    for name, archive in RECORDED.items():
        yield from _measure_beyond_the_scan(name, archive)


def _measure_beyond_the_scan(name: str, recorded: Path) -> Iterator[Row]:
    """Return what `propose` and `check` take beside the scan, on a recorded machine."""
    from phyllome_seat.model.check import check
    from phyllome_seat.model.proposal import NoProposalError
    from phyllome_seat.model.propose import propose
    from phyllome_seat.model.seat import Wish
    from phyllome_seat.model.value import replace
    from phyllome_seat.system.scan_platform import read_platform
    from tests.bench.many_cards import with_groups

    if not recorded.exists():
        for what in ("propose", "check"):
            yield Row(f"{what} on {name}", None, 0.5, "s")
        return
    with folder() as place, tarfile.open(recorded) as archive:
        archive.extractall(place)  # our own data
        (sys_folder,) = place.rglob("run/udev/data")
        sysfs = Sysfs(str(sys_folder.parents[2]))
        host = with_groups(scan(sysfs))
        wish = Wish()

        def best() -> Wish:
            try:
                return propose(host)[0].wish
            except NoProposalError:
                return wish

        where = f"on {name}, {len(host.pci)} functions"
        yield Row(f"propose {where}", _median(best), 0.5, "s")
        wish = best()

        def look() -> None:
            fresh = Sysfs(sysfs.root)  # which has read nothing yet
            check(replace(host, platform=read_platform(fresh, host.pci)), wish)

        yield Row(f"check {where}, what it reads included", _median(look), 0.5, "s")


# -- a large machine against a tenth of it ---------------------------------------------------------


def measure_growth(place: Path) -> Iterator[Row]:
    """Return how time and memory grow with the machine.

    Time on a processor, the two machines taking turns: what runs beside this disturbs both alike.
    """
    seats = BLOCKS // 10 - 4
    work: list[Callable[[], object]] = []
    for blocks in (BLOCKS // 10, BLOCKS):
        (place / str(blocks)).mkdir()
        sysfs = make_big_tree(place / str(blocks), blocks)
        host = scan(sysfs)
        work.append(lambda sysfs=sysfs: scan(Sysfs(sysfs.root)))
        work.append(lambda host=host: plan(assign(wish_for(seats), host), host))
    times = [[_processor_s(one) for one in work] for _ in range(measure.WARM + measure.RUNS)]
    small, small_plan, large, large_plan = map(statistics.median, zip(*times, strict=True))
    every_seat = _median(lambda: plan(assign(wish_for(64), host), host))
    size = f"{len(host.pci)} functions, {len(host.usb)} USB devices"
    yield Row(f"{size} / a tenth: scan", large / small, 12)
    yield Row(f"{size} / a tenth: plan for {seats} seats", large_plan / small_plan, 12)
    both = (large + large_plan) / (small + small_plan)
    yield Row(f"{size} / a tenth: scan and plan", both, 12)
    yield Row(f"{size}: plan for 64 seats", every_seat, 1, "s")
    peak_kib = _peak_of_scan(place / str(BLOCKS))
    yield Row(f"{size}: peak memory of scan", peak_kib / 1024, 120, "MB")


def _peak_of_scan(root: Path) -> int:
    """Return KiB, of the text or the JSON, whichever is more."""
    scan_it = [str(COMMAND), "--sysroot", str(root), "scan"]
    code = f"from measure import run; print(max(run({scan_it} + a)[1] for a in ([], ['--json'])))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT / "tests/bench",
    )
    return int(done.stdout)


def _processor_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _median(work: Callable[[], object]) -> float:
    times = []
    for _ in range(measure.WARM + measure.RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[measure.WARM :])


@contextmanager
def folder() -> Iterator[Path]:
    """Give a new folder, in memory where there is one, and remove it."""
    memory = Path("/dev/shm")  # mkdtemp makes a folder of our own there
    path = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _say(line: object) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
