"""What stands between this PC and its seats: findings, each with its evidence and the fix.

Pure: a `Host` with its `Platform`, and a wish, to findings. The worst come first.
"""

from __future__ import annotations

from phyllome_seat.model.assign import assign
from phyllome_seat.model.check_settings import check_settings
from phyllome_seat.model.check_system import check_system
from phyllome_seat.model.devices import Host
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.finding import SEVERITIES, Finding
from phyllome_seat.model.groups import find_blockers
from phyllome_seat.model.seat import Wish

_GIB = 1 << 30
_HOST_NEEDS = 2 * _GIB  # what a desktop with libvirt takes, by rule of thumb
_SPOKEN = (
    ("anti-cheat", "some games refuse to run in any virtual machine", "look your games up first"),
    ("macOS", "Apple's licence wants Apple's own computer", "plan seats for Linux or Windows"),
    ("suspend", "a PC whose cards are with guests is not safe to suspend", "stop the seats first"),
)


def check(host: Host, wish: Wish | None = None) -> tuple[Finding, ...]:
    """Return the findings, worst first; without seats in the wish, those of the PC alone."""
    wish = wish or Wish()
    found = [*check_system(host), *check_settings(host), *_check_cards(host, wish)]
    if wish.seats:
        found += [*_check_wish(host, wish), *_check_room(host, wish)]
    found += [Finding("note", subject, words, "", fix) for subject, words, fix in _SPOKEN]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _check_wish(host: Host, wish: Wish) -> list[Finding]:
    """Ask `assign`, which knows of groups and of what the host needs."""
    try:
        seats = assign(wish, host).seats
    except AssignmentError as error:
        hint = error.hint or f"edit {wish.file}"
        return [Finding("error", "seats", line, wish.file, hint) for line in _lines(error)]
    fix = "keep another way to reach the host; `phyllome-seat confirm` after `apply`"
    return [
        Finding("note", f"seat {seat.seat.name}", note, wish.file, fix)
        for seat in seats
        for note in seat.notes
        if " is given up: " in note
    ]


def _lines(error: AssignmentError) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]


def _check_cards(host: Host, wish: Wish) -> list[Finding]:
    """Say of each card what keeps VFIO from it, or what it will not do afterwards."""
    wanted = {seat.gpu.address for seat in wish.seats if seat.gpu}
    direct = host.platform.direct_groups if host.platform else ()
    found = []
    for card in host.pci:
        if not card.is_gpu or (wanted and card.address not in wanted):
            continue
        subject = f"{card.address} ({card.name})"
        own = [function.address for function in host.functions_of(card.address)]
        group = card.iommu_group
        for other in find_blockers(host, card.address, own):
            found.append(
                Finding(
                    "error" if wanted else "warning",
                    subject,
                    f"shares IOMMU group {group} with {other.address} ({other.name})",
                    f"/sys/kernel/iommu_groups/{group}/devices",
                    "put the card into another slot, one wired to the processor",
                )
            )
        if group in direct:
            found.append(
                Finding(
                    "error" if wanted else "warning",
                    subject,
                    "the firmware keeps memory for it, and VFIO will refuse it",
                    f"/sys/kernel/iommu_groups/{group}/reserved_regions: direct",
                    "look in the firmware's setup for a switch, or for its update",
                )
            )
        if card.reset_methods == () and host.iommu.groups:
            found.append(
                Finding(
                    "warning",
                    subject,
                    "cannot be reset: its guest may start once for each boot of the host",
                    f"/sys/bus/pci/devices/{card.address}/reset_method is empty",
                    "give it a try, twice in a row, before you rely on it",
                )
            )
    return found


def _check_room(host: Host, wish: Wish) -> list[Finding]:
    """Compare what new guests take with what the PC has."""
    new = [seat.create for seat in wish.seats if seat.create]
    found = []
    if host.memory:
        taken = sum(guest.memory_bytes for guest in new)
        kept = wish.host_memory_bytes or _HOST_NEEDS
        total = host.memory.total_kib * 1024
        if taken + kept > total:
            found.append(
                Finding(
                    "error",
                    "memory",
                    f"guests take {taken / _GIB:.1f} GiB and the host needs {kept / _GIB:.1f}:"
                    f" there are {total / _GIB:.1f}",
                    "/proc/meminfo: MemTotal",
                    f"give the guests less memory in {wish.file}; VFIO pins all of it",
                )
            )
    cpus, online = sum(guest.cpus for guest in new), sum(cpu.online for cpu in host.cpus)
    if online and cpus + (wish.host_cpus or 1) > online:
        found.append(
            Finding(
                "warning",
                "processors",
                f"guests take {cpus} and the host needs {wish.host_cpus or 1}: there are {online}",
                "/sys/devices/system/cpu/online",
                f"give the guests fewer CPUs in {wish.file}",
            )
        )
    return found
