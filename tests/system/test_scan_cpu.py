from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.devices import Cpu, HugePages, Iommu, Memory
from phyllome_seat.system.scan_cpu import (
    parse_cpu_list,
    parse_cpu_mask,
    read_cpus,
    read_iommu,
    read_memory,
)
from phyllome_seat.system.sysfs import Sysfs
from tests.recorded import count_tested, recorded
from tests.system.trees import make_tree

CPU = "sys/devices/system/cpu/"

# Archive and machine, as their own folder inside says; the one whose answer is of a damaged copy
# ("buggynuma") has no tree of its own.
RECORDED = {
    "16em64t-4s2c2t-offlines": "hwloc__16em64t-4s2c2t-offlines",
    "2pa-pcidomain32bits": "hwloc__2pa-pcidomain32bits",
    "32intel64-2p8co2t+8ve": "hwloc__32intel64-2p8co2t+8ve",
    "48amd64-4pa2n6c-sparse": "hwloc__48amd64-4pa2n6c-sparse",
    "8em64t-2s2ca2c": "hwloc__8em64t-2s2ca2c",
    "memorysidecaches": "hwloc__memorysidecaches",
}


def machine(unpack, name):
    (root,) = unpack(f"cpu/{name}.tar.bz2").iterdir()
    return Sysfs(str(root))


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_machine_has_the_cpus_that_hwloc_found(unpack, name):
    expected = json.loads(recorded("cpu/expected.json").read_text())[RECORDED[name]]
    cpus = [cpu for cpu in read_cpus(machine(unpack, name)) if cpu.online]
    nodes = {str(cpu.numa_node) for cpu in cpus}

    assert len(cpus) == expected["pus"]
    assert len({cpu.package for cpu in cpus}) == expected["packages"]
    assert sorted({cpu.core for cpu in cpus}) == sorted(map(tuple, expected["siblings"]))
    assert {
        node: [cpu.number for cpu in cpus if str(cpu.numa_node) == node] for node in nodes
    } == expected["numa"]
    count_tested("machines", f"cpu/{name}")


def test_an_offline_cpu_of_a_recorded_machine_has_only_its_number(unpack):
    cpus = read_cpus(machine(unpack, "16em64t-4s2c2t-offlines"))

    assert [cpu for cpu in cpus if not cpu.online] == [
        Cpu(number, online=False) for number in (2, 5, 13, 14)
    ]


def test_a_hybrid_cpu_knows_its_kinds_threads_and_cache(tmp_path):
    core = {"topology/physical_package_id": "0\n", "cache/index2/level": "2\n"}
    cache = {"cache/index3/level": "3\n", "cache/index3/shared_cpu_list": "0-2\n"}
    files = {f"{CPU}cpu{n}/{name}": text for n in range(3) for name, text in core.items()}
    files |= {f"{CPU}cpu{n}/{name}": text for n in range(3) for name, text in cache.items()}
    files |= {f"{CPU}cpu{n}/topology/thread_siblings_list": "0-1\n" for n in (0, 1)}
    files |= {f"{CPU}cpu2/topology/thread_siblings_list": "2\n"}
    files |= {f"{CPU}cpu0/cpufreq/cpuinfo_max_freq": "5400000\n"}
    files |= {f"{CPU}cpu2/cpufreq/cpuinfo_max_freq": "4200000\n"}
    files |= {f"{CPU}present": "0-3\n", f"{CPU}online": "0-2\n"}
    files |= {"sys/devices/system/node/node0/cpulist": "0-2\n"}
    files |= {"sys/devices/cpu_core/cpus": "0-1\n", "sys/devices/cpu_atom/cpus": "2\n"}

    assert read_cpus(make_tree(tmp_path, files)) == (
        Cpu(0, True, 0, (0, 1), (0, 1, 2), 0, "core", 5400000),
        Cpu(1, True, 0, (0, 1), (0, 1, 2), 0, "core", 5400000),
        Cpu(2, True, 0, (2,), (0, 1, 2), 0, "atom", 4200000),
        Cpu(3, online=False),
    )


def test_a_thread_that_has_just_gone_offline_is_no_sibling(tmp_path):
    siblings = {f"{CPU}cpu0/topology/thread_siblings_list": "0-1\n"}
    files = siblings | {f"{CPU}present": "0-1\n", f"{CPU}online": "0\n"}

    assert read_cpus(make_tree(tmp_path, files)) == (
        Cpu(0, core=(0,)),
        Cpu(1, online=False),
    )


def test_memory_and_its_huge_pages_are_read(tmp_path):
    pool = "sys/kernel/mm/hugepages/hugepages-{}kB/"
    sysfs = make_tree(
        tmp_path,
        {
            "proc/meminfo": "MemTotal:       32768 kB\nMemAvailable:   16384 kB\nHugePages: 0\n",
            pool.format(1048576) + "nr_hugepages": "4\n",
            pool.format(1048576) + "free_hugepages": "1\n",
            pool.format(2048) + "nr_hugepages": "0\n",
            pool.format(2048) + "free_hugepages": "0\n",
        },
    )

    assert read_memory(sysfs) == Memory(
        32768, 16384, (HugePages(2048, 0, 0), HugePages(1048576, 4, 1))
    )
    assert read_memory(Sysfs(str(tmp_path / "nowhere"))) is None


def test_an_iommu_in_firmware_that_the_kernel_does_not_use_is_told_from_one_at_work(tmp_path):
    table = {"sys/firmware/acpi/tables/DMAR": ""}
    groups = {f"sys/kernel/iommu_groups/{n}/type": "DMA\n" for n in range(3)}
    unit = {"sys/class/iommu/dmar0/uevent": ""}

    assert read_iommu(make_tree(tmp_path / "off", table)) == Iommu((), 0, ("DMAR",))
    assert read_iommu(make_tree(tmp_path / "on", table | groups | unit)) == Iommu(
        ("dmar0",), 3, ("DMAR",)
    )


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0-3,8\n", (0, 1, 2, 3, 8)),
        ("5", (5,)),
        ("", ()),
        ("\n", ()),
        ("3-1", ()),
        ("0-99999999999", ()),
        ("x,2,-", (2,)),
    ],
)
def test_a_list_of_cpus_is_read_as_the_kernel_means_it(text, numbers):
    assert parse_cpu_list(text) == numbers


def test_a_mask_of_cpus_has_its_highest_bits_first():
    assert parse_cpu_mask("00000001,00000000,0000ff01\n") == (0, *range(8, 16), 64)


@given(st.frozensets(st.integers(0, 500)))
def test_list_and_mask_of_the_same_cpus_are_the_same(numbers):
    mask = f"{sum(1 << n for n in numbers):0128x}"
    groups = ",".join(mask[n : n + 8] for n in range(0, len(mask), 8))

    assert parse_cpu_mask(groups) == parse_cpu_list(",".join(map(str, numbers)))
    assert parse_cpu_mask(groups) == tuple(sorted(numbers))


@given(st.text() | st.text("0123456789-,f \n"))
def test_any_text_is_read_as_some_cpus(text):
    assert all(type(n) is int for n in (*parse_cpu_list(text), *parse_cpu_mask(text)))
