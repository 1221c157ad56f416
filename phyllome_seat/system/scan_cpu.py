"""CPUs, memory and IOMMU, from ``/sys/devices/system`` and ``/proc/meminfo``.

Sources: Documentation/ABI/stable/sysfs-devices-system-cpu, Documentation/ABI/testing/
sysfs-kernel-mm-hugepages and sysfs-class-iommu, proc_meminfo(5). A set of CPUs is a list like
``0-3,8`` or a mask of 32 bits each, highest first: Documentation/admin-guide/cputopology.rst.
"""

from __future__ import annotations

from phyllome_seat.model.devices import Cpu, HugePages, Iommu, Memory
from phyllome_seat.system.numbers import read_number
from phyllome_seat.system.sysfs import Sysfs

_CPUS = "sys/devices/system/cpu/"
_NODES = "sys/devices/system/node/"
_HUGE_PAGES = "sys/kernel/mm/hugepages/"
_KINDS = ("core", "atom")  # the event sources of hybrid Intel: arch/x86/events/intel/core.c
_TABLES = ("DMAR", "IVRS", "VIOT")  # Intel, AMD, virtio: Documentation/arch/x86/iommu.rst
_MOST_CPUS = 1 << 16  # NR_CPUS is at most 8192 on x86: a larger number is no list of CPUs


def read_cpus(sysfs: Sysfs) -> tuple[Cpu, ...]:
    """Return every CPU that is present, by number, the offline ones too."""
    present = parse_cpu_list(sysfs.read(_CPUS + "present") or "") or _list_cpus(sysfs)
    online = _read_online(sysfs, present)
    nodes = _read_nodes(sysfs)
    kinds = _read_kinds(sysfs)
    cpus: dict[int, Cpu] = {}
    caches: dict[int, tuple[int, ...]] = {}
    for number in present:
        if number in cpus:
            continue
        if number not in online:
            cpus[number] = Cpu(number, online=False)
            continue
        core = tuple(n for n in _read_core(sysfs, number) if n in online) or (number,)
        if number not in caches:
            caches |= dict.fromkeys(shared := _read_l3(sysfs, number), shared)
        package = read_number(sysfs.read(f"{_CPUS}cpu{number}/topology/physical_package_id"))
        frequency = read_number(sysfs.read(f"{_CPUS}cpu{number}/cpufreq/cpuinfo_max_freq"))
        for thread in core:  # a core's threads differ in nothing but number
            cpus[thread] = Cpu(
                number=thread,
                package=package,
                core=core,
                l3=tuple(n for n in caches.get(number, ()) if n in online),
                numa_node=nodes.get(thread),
                kind=kinds.get(thread),
                max_khz=frequency,
            )
    return tuple(cpus[number] for number in sorted(cpus))


def read_memory(sysfs: Sysfs) -> Memory | None:
    """Return the memory of the PC, None where the kernel does not say."""
    sizes = {}
    for line in (sysfs.read("proc/meminfo") or "").split("\n"):
        name, _, size = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            sizes[name] = read_number(size.removesuffix(" kB").strip())
            if len(sizes) == 2:  # they are among the first three of fifty lines
                break
    total = sizes.get("MemTotal")
    if total is None:
        return None
    return Memory(total, sizes.get("MemAvailable"), _read_huge_pages(sysfs))


def read_iommu(sysfs: Sysfs) -> Iommu:
    """Return the IOMMU units at work, how many groups they make, and what the firmware has."""
    tables = "sys/firmware/acpi/tables/"
    return Iommu(
        units=sysfs.list("sys/class/iommu"),
        groups=len(sysfs.list("sys/kernel/iommu_groups")),
        firmware_tables=tuple(name for name in _TABLES if sysfs.exists(tables + name)),
    )


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return the numbers of a list like ``0-3,8``, in order; parts that are none are left out."""
    numbers: set[int] = set()
    for part in text.split(","):
        first_text, dash, last_text = part.partition("-")
        first = read_number(first_text)
        last = read_number(last_text) if dash else first
        if first is not None and last is not None and last < _MOST_CPUS:
            numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def parse_cpu_mask(text: str) -> tuple[int, ...]:
    """Return the numbers of the bits of a mask like ``00000000,0000ff01``, in order."""
    mask = read_number(text.replace(",", ""), 16) or 0
    return tuple(n for n in range(min(mask.bit_length(), _MOST_CPUS)) if mask >> n & 1)


def _list_cpus(sysfs: Sysfs) -> tuple[int, ...]:
    names = (name.removeprefix("cpu") for name in sysfs.list(_CPUS) if name.startswith("cpu"))
    return tuple(sorted(int(name) for name in names if name.isdecimal()))


def _read_online(sysfs: Sysfs, present: tuple[int, ...]) -> frozenset[int]:
    """Return the CPUs at work; the one list of them is newer than the file for each (2.6.28)."""
    online = parse_cpu_list(sysfs.read(_CPUS + "online") or "")
    return frozenset(
        online or (n for n in present if sysfs.read(f"{_CPUS}cpu{n}/online") in (None, "1"))
    )


def _read_set(sysfs: Sysfs, path: str) -> tuple[int, ...]:
    """Return a set of CPUs from its list, or from its mask where the kernel is older (2.6.26)."""
    text = sysfs.read(path + "_list")
    if text is not None:
        return parse_cpu_list(text)
    return parse_cpu_mask(sysfs.read(path) or "")


def _read_core(sysfs: Sysfs, number: int) -> tuple[int, ...]:
    # ``core_cpus`` is the newer name of the same; every kernel has this one
    return _read_set(sysfs, f"{_CPUS}cpu{number}/topology/thread_siblings")


def _read_l3(sysfs: Sysfs, number: int) -> tuple[int, ...]:
    """Return the CPUs that share the L3 cache of one, empty where it has none.

    Caches are numbered upwards, so it is the last or near it: drivers/base/cacheinfo.c.
    """
    folder = f"{_CPUS}cpu{number}/cache"
    for name in reversed(sysfs.list(folder)):
        if name.startswith("index") and sysfs.read(f"{folder}/{name}/level") == "3":
            path = f"{folder}/{name}/shared_cpu"
            return parse_cpu_list(sysfs.read(path + "_list") or "") or parse_cpu_mask(
                sysfs.read(path + "_map") or ""
            )
    return ()


def _read_nodes(sysfs: Sysfs) -> dict[int, int]:
    """Return the NUMA node of each CPU that is on one; node numbers may have gaps."""
    nodes: dict[int, int] = {}
    for name in sysfs.list(_NODES):
        number = read_number(name.removeprefix("node"))
        if number is not None:
            text = sysfs.read(f"{_NODES}{name}/cpulist")
            mask = "" if text is not None else sysfs.read(f"{_NODES}{name}/cpumap")
            nodes |= dict.fromkeys(parse_cpu_list(text or "") or parse_cpu_mask(mask or ""), number)
    return nodes


def _read_kinds(sysfs: Sysfs) -> dict[int, str]:
    """Return "core" or "atom" for each CPU of a hybrid processor, nothing for any other."""
    return {
        number: kind
        for kind in _KINDS
        for number in parse_cpu_list(sysfs.read(f"sys/devices/cpu_{kind}/cpus") or "")
    }


def _read_huge_pages(sysfs: Sysfs) -> tuple[HugePages, ...]:
    pools = []
    for name in sysfs.list(_HUGE_PAGES):  # hugepages-2048kB
        size = read_number(name.removeprefix("hugepages-").removesuffix("kB"))
        total = read_number(sysfs.read(f"{_HUGE_PAGES}{name}/nr_hugepages"))
        free = read_number(sysfs.read(f"{_HUGE_PAGES}{name}/free_hugepages"))
        if size is not None and total is not None and free is not None:
            pools.append(HugePages(size, total, free))
    return tuple(sorted(pools, key=lambda pool: pool.size_kib))
