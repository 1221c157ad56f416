"""Memory, huge pages and processors: what guests take, and what is left."""

from dataclasses import replace

import pytest

from phyllome_seat.model.devices import HugePages, Memory
from phyllome_seat.model.platform import Setting
from tests.model.hosts import WIN11_XML, two_seat_wish
from tests.model.test_check import HEALTHY, alarms, healthy_pc

TWO_MIB = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
ASKS = "<memoryBacking><hugepages/></memoryBacking>"
ASKS_LARGE = "<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>"


def with_memory(gib, *pools):
    return replace(healthy_pc(), memory=Memory(gib << 20, huge_pages=pools))


def with_win11(host, more="", state="shut off"):
    xml = WIN11_XML.replace("<vcpu", more + "<vcpu")
    return replace(host, guests=tuple(replace(g, xml=xml, state=state) for g in host.guests))


def test_a_guest_that_exists_counts_by_its_definition():
    # 8 GiB of win11, 8 of right, 4 of the host
    assert alarms(with_memory(20), two_seat_wish()) == {}
    assert list(alarms(with_memory(19), two_seat_wish())) == [("error", "memory")]


def test_pages_that_nobody_asked_for_are_given_back_now_and_for_good():
    host = with_memory(24, HugePages(2048, 4096, 4096))
    line = Setting("/etc/sysctl.d/vm.conf", 2, "vm.nr_hugepages = 4096")
    host = replace(host, platform=replace(HEALTHY, settings=(line,), cmdline="hugepages=4096"))

    found = alarms(host, two_seat_wish())

    assert list(found) == [("error", "huge pages")]
    fix = found["error", "huge pages"]
    assert fix.startswith(f"echo 0 | sudo tee {TWO_MIB}; delete line 2 of /etc/sysctl.d/vm.conf; ")
    assert "take hugepages=4096 out" in fix


def test_pages_are_no_trouble_where_they_leave_enough():
    host = with_memory(64, HugePages(2048, 4096, 4096))

    assert alarms(host) == {}
    assert alarms(host, two_seat_wish()) == {}


def test_without_seats_pages_that_starve_the_host_are_a_warning():
    assert list(alarms(with_memory(4, HugePages(2048, 1200, 1200)))) == [("warning", "huge pages")]


@pytest.mark.parametrize(("free", "fits"), [(4096, True), (4095, False)])
def test_a_guest_that_asks_for_huge_pages_needs_them_free(free, fits):
    host = with_win11(with_memory(64, HugePages(2048, 5000, free)), ASKS)

    found = alarms(host, two_seat_wish())

    assert found == ({} if fits else {("error", "huge pages"): f"echo 5001 | sudo tee {TWO_MIB}"})


def test_a_guest_that_runs_has_its_pages():
    host = with_win11(with_memory(64, HugePages(2048, 4096, 0)), ASKS, state="running")

    assert alarms(host, two_seat_wish()) == {}


def test_large_pages_are_asked_for_at_boot():
    found = alarms(with_win11(with_memory(64), ASKS_LARGE), two_seat_wish())

    assert "add hugepagesz=1048576K hugepages=8 to" in found["error", "huge pages"]


def test_processors_of_all_guests_count():
    host = healthy_pc()

    assert list(alarms(replace(host, cpus=host.cpus[:9]), two_seat_wish())) == [
        ("warning", "processors")
    ]
    assert alarms(replace(host, cpus=host.cpus[:10]), two_seat_wish()) == {}
