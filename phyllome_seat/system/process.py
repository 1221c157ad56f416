"""Which process a process id means: ids are used again, a start time is not."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.system.sysfs import Sysfs


def start_time(sysfs: Sysfs, pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None once it has ended.

    One that nobody has waited for yet has ended too. Source: proc_pid_stat(5), fields 3 and 22.
    """
    stat = sysfs.read(f"proc/{pid}/stat")
    if stat is None:
        return None
    fields = stat.rpartition(")")[2].split()  # a name may hold anything, brackets too
    return None if fields[0] in ("Z", "X") else int(fields[19])
