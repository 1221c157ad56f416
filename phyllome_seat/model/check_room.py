"""Whether memory, huge pages and processors are enough for the guests and the host."""

from __future__ import annotations

from phyllome_seat.model.check_fix import argument_fix, line_fix
from phyllome_seat.model.devices import Host, HugePages, Memory
from phyllome_seat.model.domain_xml import DomainXmlError, parse_domain
from phyllome_seat.model.finding import Finding
from phyllome_seat.model.guest_size import find_size
from phyllome_seat.model.platform import Platform
from phyllome_seat.model.seat import Seat, Wish
from phyllome_seat.model.value import dataclass

_GIB = 1 << 30
_HOST_NEEDS = 2 * _GIB  # what a desktop with libvirt takes, by rule of thumb
_POOLS = "/sys/kernel/mm/hugepages"
_DEFAULT_KIB = 2048  # of x86_64: Documentation/admin-guide/mm/hugetlbpage.rst


@dataclass(frozen=True, slots=True)
class _Need:
    """What one seat's guest takes; ``page_kib`` where it asks for huge pages."""

    name: str
    memory_bytes: int
    cpus: int
    page_kib: int | None = None
    is_running: bool = False


def check_room(host: Host, wish: Wish) -> list[Finding]:
    """Return what is too little; without seats, only that huge pages starve the host."""
    needs = [need for seat in wish.seats if (need := _find_need(host, seat))]
    return [*_check_memory(host, wish, needs), *_check_cpus(host, wish, needs)]


def _find_need(host: Host, seat: Seat) -> _Need | None:
    """Return the size of the seat's guest, of one that exists by its definition."""
    if seat.create:
        return _Need(seat.create.name, seat.create.memory_bytes, seat.create.cpus)
    guest = next((g for g in host.guests_known if g.name == seat.domain), None)
    if guest is None:
        return None
    try:
        size = find_size(guest.xml)
        pages = parse_domain(guest.xml).find("memoryBacking/hugepages")
    except DomainXmlError:
        return None
    page_kib = None
    if pages is not None:
        page = pages.find("page")
        page_kib = _kib(page.get("size"), page.get("unit")) if page is not None else _DEFAULT_KIB
    return _Need(guest.name, size.memory_bytes, size.cpus, page_kib, guest.is_running)


def _kib(size: str | None, unit: str | None) -> int:
    """Return a page's size; libvirt writes KiB, a person M or G: virScaleInteger."""
    number = int(size) if size and size.isdecimal() and size.isascii() else _DEFAULT_KIB
    return number * {"M": 1024, "G": 1024**2}.get((unit or "K")[:1].upper(), 1)


def _check_memory(host: Host, wish: Wish, needs: list[_Need]) -> list[Finding]:
    if host.memory is None:
        return []
    found = [f for pool in _asked(host.memory, needs) for f in _check_pool(host, pool, needs)]
    reserved = sum(pool.size_kib * pool.total for pool in host.memory.huge_pages) * 1024
    taken = sum(need.memory_bytes for need in needs if need.page_kib is None)
    kept = wish.host_memory_bytes or _HOST_NEEDS
    total = host.memory.total_kib * 1024
    made = sum(seat.create.memory_bytes for seat in wish.seats if seat.create)
    if made + (wish.host_memory_bytes or 0) > total:
        return found  # assign refuses that already
    if taken + kept > total and wish.seats:
        words = (
            f"guests take {_gib(taken)} and the host needs {_gib(kept)}: there are {_gib(total)}"
        )
        fix = f"give the guests less memory in {wish.file}, since VFIO pins all of it"
        found.append(Finding("error", "memory", words, "/proc/meminfo: MemTotal", fix))
    elif reserved and taken + kept + reserved > total:
        words = f"keep {_gib(reserved)} of {_gib(total)}, and the guests without them and the host"
        words += f" need {_gib(taken + kept)}"
        severity = "error" if wish.seats else "warning"
        pools = [pool for pool in host.memory.huge_pages if pool.total]
        evidence = ", ".join(f"{_file(pool)}: {pool.total}" for pool in pools)
        fix = _fewer_pages(host.platform, pools, needs)
        found.append(Finding(severity, "huge pages", words, evidence, fix))
    return found


def _asked(memory: Memory, needs: list[_Need]) -> list[HugePages]:
    """Return the pools that guests ask for, as empty ones where the kernel has none."""
    there = {pool.size_kib: pool for pool in memory.huge_pages}
    sizes = sorted({need.page_kib for need in needs if need.page_kib})
    return [there.get(size, HugePages(size, 0, 0)) for size in sizes]


def _check_pool(host: Host, pool: HugePages, needs: list[_Need]) -> list[Finding]:
    """Find too few pages for the guests that are to start yet; who runs has them."""
    waiting = [n for n in needs if n.page_kib == pool.size_kib and not n.is_running]
    pages = _count(waiting, pool)
    if pages <= pool.free:
        return []
    names = ", ".join(need.name for need in waiting)
    words = f"{names} asks for {pages} of {pool.size_kib} KiB, and {pool.free} are free"
    wanted = pool.total - pool.free + pages
    fix = f"echo {wanted} | sudo tee {_file(pool)}"
    if pool.size_kib > _DEFAULT_KIB and host.platform:  # rarely to be had later than at boot
        arguments = f"hugepagesz={pool.size_kib}K hugepages={wanted}"
        fix = argument_fix(host.platform, add=arguments)
    return [Finding("error", "huge pages", words, f"{_file(pool)}: {pool.total}", fix)]


def _count(needs: list[_Need], pool: HugePages) -> int:
    return sum(-(-need.memory_bytes // (pool.size_kib * 1024)) for need in needs)


def _fewer_pages(platform: Platform | None, pools: list[HugePages], needs: list[_Need]) -> str:
    """Return how pages are given back, now and at the next boot."""
    steps = []
    for pool in pools:
        wanted = _count([need for need in needs if need.page_kib == pool.size_kib], pool)
        steps.append(f"echo {min(wanted, pool.total)} | sudo tee {_file(pool)}")
    if platform:
        lines = [line for line in platform.settings if line.text.startswith("vm.nr_hugepages")]
        steps += [line_fix(platform, line) for line in lines]
        words = [w for w in platform.cmdline.split() if w.startswith(("hugepages=", "hugepagesz="))]
        if words:
            steps.append(argument_fix(platform, remove=" ".join(words)))
    return "; ".join(steps)


def _file(pool: HugePages) -> str:
    return f"{_POOLS}/hugepages-{pool.size_kib}kB/nr_hugepages"


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.1f} GiB"


def _check_cpus(host: Host, wish: Wish, needs: list[_Need]) -> list[Finding]:
    cpus, online = sum(need.cpus for need in needs), sum(cpu.online for cpu in host.cpus)
    kept = wish.host_cpus or 1
    if not needs or not online or cpus + kept <= online:
        return []
    words = f"guests take {cpus} and the host needs {kept}: there are {online}"
    fix = f"give the guests fewer CPUs in {wish.file}"
    return [Finding("warning", "processors", words, "/sys/devices/system/cpu/online", fix)]
