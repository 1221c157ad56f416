"""`check` on machines that were recorded elsewhere: what a recording lacks is no alarm."""

from __future__ import annotations

import json
import tarfile
import time

import pytest

from phyllome_seat.model.check import check
from phyllome_seat.model.value import replace
from phyllome_seat.system.scan import scan
from phyllome_seat.system.scan_platform import read_platform
from phyllome_seat.system.sysfs import Sysfs
from tests.recorded import count_tested, recorded
from tests.system.test_scan_recorded import GROUPED, MACHINES


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folders = {}

    def read_host(name):
        archive = "iommu/trees" if name in GROUPED else f"machines/{name}"
        if archive not in folders:
            folders[archive] = tmp_path_factory.mktemp("recorded")
            with tarfile.open(recorded(f"{archive}.tar.xz")) as packed:
                # Python 3.11.2 of Debian 12 has no filters yet, later ones warn without
                packed.extraction_filter = getattr(tarfile, "data_filter", lambda m, _: m)
                packed.extractall(folders[archive])
        inside = folders[archive] / name
        sysfs = Sysfs(str(inside if inside.exists() else folders[archive]))
        host = scan(sysfs)
        count_tested("machines", name)
        return replace(host, platform=read_platform(sysfs, host.pci))

    return read_host


def alarms(host):
    return [finding for finding in check(host) if finding.severity != "note"]


@pytest.mark.parametrize("name", [*MACHINES, "thinkpad-t60"])
def test_a_machine_without_a_system_and_without_groups_gives_no_alarm(read, name):
    assert alarms(read(name)) == []


@pytest.mark.parametrize("name", GROUPED)
def test_cards_are_said_to_share_their_group_with_what_people_found_there_and_nothing_else(
    read, name
):
    truth = json.loads(recorded(f"iommu/{name}.json").read_text())["truth"]
    host = read(name)
    # recordings of groups say nothing of drivers: each function that may have one has one
    driven = tuple(d if d.is_bridge else replace(d, driver="some") for d in host.pci)
    found = {
        (f.subject.partition(" ")[0], f.words.split()[5]) for f in alarms(replace(host, pci=driven))
    }

    foreign = {(gpu["bdf"], other) for gpu in truth["gpus"] for other in gpu["foreign_endpoints"]}
    assert found == foreign


@pytest.mark.parametrize("name", ["NVIDIA_DGX_STATION", "DELL_POWEREDGE_R820_NVME"])
def test_the_largest_recorded_machines_are_answered_in_half_a_second(read, name):
    host = read(name)
    started = time.process_time()

    check(host)

    assert time.process_time() - started < 0.5
