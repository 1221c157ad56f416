"""Recorded machines for every test here, each unpacked once and read once in a run."""

from __future__ import annotations

import pytest

from phyllome_seat.system.scan import scan
from phyllome_seat.system.sysfs import Sysfs
from tests.recorded import GROUPED, count_tested, unpack_archive


@pytest.fixture(scope="session")
def unpack(tmp_path_factory):
    """Return what unpacks an archive once and returns its folder."""
    folders = {}

    def unpacked(name):
        if name not in folders:
            folder = tmp_path_factory.mktemp("recorded")
            unpack_archive(name, folder)  # skips where there is none, each time
            folders[name] = folder
        return folders[name]

    return unpacked


@pytest.fixture(scope="session")
def read_machine(unpack):
    """Return what scans a recorded machine once and returns its Host and where it was read."""
    hosts = {}

    def read(name):
        if name not in hosts:
            folder = unpack("iommu/trees.tar.xz" if name in GROUPED else f"machines/{name}.tar.xz")
            inside = folder / name
            root = inside if inside.exists() else folder
            hosts[name] = scan(Sysfs(str(root))), root
        count_tested("machines", name)
        return hosts[name]

    return read
