from __future__ import annotations

import pytest

from phyllome_seat.model.groups import find_blockers, is_harmless
from tests.model.hosts import (
    DISK,
    HOST_USB,
    LEFT_GPU,
    LEFT_SOUND,
    LEFT_USB,
    address,
    bound,
    two_seat_pc,
    with_function,
)


def blocking(host, where, *leaving):
    blockers = find_blockers(host, address(where), [address(text) for text in leaving])
    return [str(blocker.address) for blocker in blockers]


@pytest.mark.parametrize(
    "driver",
    [
        None,
        "vfio-pci",
        "pci-stub",
        "pcieport",
        "mlx5_vfio_pci",
        "xe-vfio-pci",
        "nvgrace_gpu_vfio_pci",
    ],
)
def test_a_driver_that_leaves_dma_alone_is_harmless(driver):
    assert is_harmless(driver)


@pytest.mark.parametrize(
    "driver", ["ahci", "xhci_hcd", "nvidia", "vfio_pci_core_test", "shpchp", ""]
)
def test_any_other_driver_blocks(driver):
    assert not is_harmless(driver)


def test_the_root_port_in_the_group_of_a_gpu_blocks_nothing():
    assert blocking(two_seat_pc(), LEFT_GPU, LEFT_GPU, LEFT_SOUND) == []


def test_a_member_that_stays_with_its_driver_blocks_and_one_without_does_not():
    host = two_seat_pc()

    assert blocking(host, LEFT_GPU, LEFT_GPU) == [LEFT_SOUND]
    assert blocking(host, HOST_USB, HOST_USB) == []
    assert blocking(with_function(host, LEFT_SOUND, driver=None), LEFT_GPU, LEFT_GPU) == []
    assert blocking(with_function(host, LEFT_SOUND, driver="pci-stub"), LEFT_GPU) == []


def test_what_we_bound_for_a_seat_blocks_again_when_it_is_to_return():
    pc = with_function(two_seat_pc(), DISK, iommu_group=14)
    pc = bound(with_function(pc, DISK, driver="ahci"), {"left": (LEFT_USB, DISK)})

    assert blocking(pc, LEFT_USB, LEFT_USB, DISK) == []
    assert blocking(pc, LEFT_USB, LEFT_USB) == [DISK]


def test_a_function_without_a_group_has_nobody_to_block_it():
    assert blocking(with_function(two_seat_pc(), LEFT_GPU, iommu_group=None), LEFT_GPU) == []
