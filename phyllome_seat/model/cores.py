"""Which of the host's CPUs would be best for each seat: whole cores, of one L3 and one NUMA node.

They are what `propose` writes as ``pin``, as many as it gives the guest CPUs. What a guest should
not do is mix kinds of cores: on a hybrid processor the seats share the performance cores and the
host keeps the others.
"""

from __future__ import annotations

from phyllome_seat.model.devices import Cpu, Host
from phyllome_seat.model.value import dataclass


@dataclass(frozen=True, slots=True)
class _Island:
    """The cores that share an L3 cache, each as the numbers of its CPUs."""

    node: int | None
    cores: tuple[tuple[int, ...], ...]


def share_cores(
    host: Host, nodes: tuple[int | None, ...], host_cpus: int | None = None
) -> tuple[tuple[int, ...], ...]:
    """Return the CPU numbers for each seat, given the NUMA node of its card: as many whole cores
    for each, none for two seats. Nothing for any seat where there are fewer cores than seats.

    The host keeps `host_cpus`, or where that is None one core, two of more than eight.
    """
    islands, spare = _islands(host)
    total = sum(len(island.cores) for island in islands)
    kept = _kept(islands, spare, host_cpus)
    each = (total - kept) // max(1, len(nodes))
    if each < 1:
        return tuple(() for _ in nodes)
    left = list(islands)
    order = sorted(range(len(nodes)), key=lambda n: (nodes[n] is None, n))
    given: dict[int, tuple[int, ...]] = {}
    for number in order:
        cores = _take(left, each, nodes[number])
        given[number] = tuple(sorted(cpu for core in cores for cpu in core))
    return tuple(given[number] for number in range(len(nodes)))


def _islands(host: Host) -> tuple[list[_Island], int]:
    """Return the islands of the kind of cores that seats want, and how many CPUs are of another."""
    online = [cpu for cpu in host.cpus if cpu.online]
    wanted = [cpu for cpu in online if cpu.kind != "atom"] or online
    groups: dict[tuple[tuple[int, ...], int | None], dict[tuple[int, ...], None]] = {}
    for cpu in wanted:
        l3 = cpu.l3 or (-1 if cpu.package is None else cpu.package,)
        groups.setdefault((l3, cpu.numa_node), {})[_core(cpu, wanted)] = None
    islands = [_Island(node, tuple(cores)) for (_, node), cores in groups.items()]
    return islands, len(online) - len(wanted)


def _core(cpu: Cpu, known: list[Cpu]) -> tuple[int, ...]:
    numbers = {other.number for other in known}
    return tuple(number for number in cpu.core if number in numbers) or (cpu.number,)


def _kept(islands: list[_Island], spare: int, host_cpus: int | None) -> int:
    """Return how many cores of the islands stay for the host, which has the `spare` CPUs anyway."""
    cores = [core for island in islands for core in island.cores]
    if host_cpus is None:
        wanted = 0 if spare else 1 if len(cores) <= 8 else 2
        return wanted if len(cores) > 1 else 0
    threads = max((len(core) for core in cores), default=1)
    return -(-max(0, host_cpus - spare) // threads)


def _take(islands: list[_Island], count: int, node: int | None) -> list[tuple[int, ...]]:
    """Take cores: of one island of the node where one has enough, the fullest fit; else of as few
    as possible, those of the node first. The first cores are left for the host: interrupts land
    there.
    """
    taken: list[tuple[int, ...]] = []
    while len(taken) < count:
        need = count - len(taken)
        at = min(
            (n for n, island in enumerate(islands) if island.cores),
            key=lambda n: _rank(islands[n], need, node),
        )
        island = islands[at]
        taken += island.cores[-need:]
        islands[at] = _Island(island.node, island.cores[:-need])
    return taken


def _rank(island: _Island, need: int, node: int | None) -> tuple[bool, bool, int]:
    is_far = node is not None and island.node is not None and island.node != node
    size = len(island.cores)
    return is_far, size < need, size if size >= need else -size


def render_cpus(numbers: tuple[int, ...]) -> str:
    """Return CPU numbers as the kernel lists them: "0-3,8"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def parse_cpus(text: str) -> tuple[int, ...] | None:
    """Return the numbers of such a list in its order; None for another text, or a number twice."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdecimal() and len(end) < 5 for end in ends):
            return None
        low, high = map(int, ends)
        numbers += range(low, high + 1)
        if low > high:
            return None
    return tuple(numbers) if len(set(numbers)) == len(numbers) else None
