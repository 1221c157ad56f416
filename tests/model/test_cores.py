"""Cores for seats: whole, as many for each, near the card, of one kind."""

from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.cores import share_cores
from phyllome_seat.model.devices import Cpu, Host
from tests.model.machines import machines


def pc(cores, *, threads=1, l3=100, nodes=1, atoms=0):
    """A PC with so many cores: `l3` of them share a cache, the last `atoms` are small ones."""
    return Host(
        cpus=tuple(
            Cpu(
                core * threads + thread,
                core=tuple(range(core * threads, core * threads + threads)),
                l3=(core // l3,),
                numa_node=core * nodes // cores,
                kind=None if not atoms else "atom" if core >= cores - atoms else "core",
            )
            for core in range(cores)
            for thread in range(threads)
        )
    )


def test_each_seat_gets_the_cores_of_one_cache():
    left, right = share_cores(pc(9, l3=4), (None, None), host_cpus=1)

    assert {len(left), len(right)} == {4}
    for cpus in share_cores(pc(16, l3=8), (None, None), host_cpus=4):
        assert len({cpu // 8 for cpu in cpus}) == 1


def test_a_seat_gets_cores_of_its_cards_node():
    left, right = share_cores(pc(16, nodes=2), (1, 0))

    assert min(left) >= 8
    assert max(right) < 8


def test_threads_of_a_core_stay_together():
    for cpus in share_cores(pc(8, threads=2), (None, None, None)):
        assert all(cpu ^ 1 in cpus for cpu in cpus)


def test_seats_share_the_performance_cores_and_the_host_keeps_the_others():
    left, right = share_cores(pc(16, atoms=8), (None, None))

    assert set(left) | set(right) == set(range(8))


def test_fewer_cores_than_seats_are_nobodys():
    assert share_cores(pc(2), (None, None, None)) == ((), (), ())
    assert share_cores(Host(), (None,)) == ((),)


@given(machines(), st.lists(st.sampled_from((None, 0, 1)), max_size=5).map(tuple))
def test_no_core_is_of_two_seats_and_each_has_as_many(host, nodes):
    shares = share_cores(host, nodes)

    given_cpus = [cpu for share in shares for cpu in share]
    assert len(given_cpus) == len(set(given_cpus))
    assert set(given_cpus) <= {cpu.number for cpu in host.cpus}
    cores = {cpu.number: cpu.core for cpu in host.cpus}
    assert len({len({cores[cpu] for cpu in share}) for share in shares}) <= 1
