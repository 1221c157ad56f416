"""The large machine of the benchmarks is what it says, and is read without asking twice."""

import os
from collections import Counter

import pytest

from phyllome_seat.model.assign import assign
from phyllome_seat.model.plan import plan
from phyllome_seat.model.protect import protect
from phyllome_seat.model.step import BindDriver
from phyllome_seat.system.scan import scan
from phyllome_seat.system.sysfs import Sysfs
from tests.bench.big_tree import make_big_tree, wish_for
from tests.bench.measure import Recorder, replay


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_big_tree(tmp_path_factory.mktemp("small"), 2)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return make_big_tree(tmp_path_factory.mktemp("large"), 6)


def test_every_part_of_the_large_machine_is_found(large):
    host = scan(large)

    assert len(host.pci) == 6 * 10
    assert len(host.groups) == 6 * 9
    assert len(host.usb) == 6 * 40
    assert sum(device.is_hub for device in host.usb) == 6 * 4
    assert len(host.sockets) == 6 * (16 + 28)
    assert sum(len(socket.ports) == 2 for socket in host.sockets) == 6 * 16
    assert len({connector.monitor for connector in host.connectors}) == 6 * 2
    assert len(host.inputs) == 6 * 18
    assert all(device.usb and device.kinds for device in host.inputs)
    assert [mount.point for mount in host.mounts] == ["/"]


def test_the_host_keeps_its_block_and_the_seats_get_the_others(large):
    host = scan(large)

    steps = plan(assign(wish_for(5), host), host)

    bound = {str(step.address) for step in steps if isinstance(step, BindDriver)}
    assert len(bound) == 5 * 3
    assert not bound & {str(address) for address in protect(host).pci}


def count_asked(sysfs: Sysfs) -> Counter[str]:
    recorder = Recorder(sysfs.root)
    scan(recorder)
    return Counter(kind for kind, _ in recorder.asked)


def test_a_machine_three_times_as_large_is_asked_three_times_as_much(small, large):
    one, three = count_asked(small), count_asked(large)

    for kind in ("file", "link", "folder"):
        assert three[kind] <= 3 * one[kind]
    assert three["file"] > 2 * one["file"]


def test_few_files_are_read_twice(large):
    recorder = Recorder(large.root)
    scan(recorder)

    again = len(recorder.asked) - len(set(recorder.asked))
    assert again <= len(recorder.asked) / 20


def test_the_replay_reads_what_the_scan_read(large, monkeypatch):
    recorder = Recorder(large.root)
    scan(recorder)
    opened = []
    really_open = os.open
    monkeypatch.setattr(os, "open", lambda *a, **k: opened.append(a[0]) or really_open(*a, **k))

    replay(recorder.asked)

    assert opened == [path for kind, path in recorder.asked if kind == "file"]
