"""The IOMMU rule: what a function's group asks of its other members before VFIO may have it.

VFIO claims whole groups. ``iommu_group_claim_dma_owner()`` refuses with -EPERM while any member is
bound to a driver that does its own DMA: each such driver raises the group's ``owner_cnt`` when it
binds (drivers/iommu/iommu.c, ``iommu_device_use_default_domain()``, called by
``pci_dma_configure()`` in drivers/pci/pci-driver.c). A member without a driver raises nothing, nor
does one whose driver sets ``driver_managed_dma``: vfio-pci and its variants (drivers/vfio/pci/),
pci-stub (drivers/pci/pci-stub.c) and pcieport (drivers/pci/pcie/portdrv.c). No file in sysfs shows
that flag, so the names of those drivers stand here.
"""

from __future__ import annotations

from collections.abc import Collection

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import Host, PciDevice

_KERNEL_DRIVERS = frozenset({"vfio-pci", "pci-stub", "pcieport"})


def is_harmless(driver: str | None) -> bool:
    """Whether a group member with this driver leaves its group free for VFIO.

    The variants are named mlx5_vfio_pci, xe-vfio-pci, nvgrace_gpu_vfio_pci and so on.
    """
    if driver is None or driver in _KERNEL_DRIVERS:
        return True
    return driver.replace("_", "-").endswith("-vfio-pci")


def find_blockers(
    host: Host, address: PciAddress, leaving: Collection[PciAddress]
) -> tuple[PciDevice, ...]:
    """Return the members of the group of `address` that keep VFIO from it when `leaving` left.

    What we bound earlier counts with the driver it had, unless it is `leaving` again: a revert
    gives it back. One that nobody knows any more was the host's.
    """
    before = {kept.address: kept.driver if kept.known else "unknown" for kept in host.before}
    return tuple(
        member
        for member in host.group_of(address)
        if member.address != address
        and member.address not in leaving
        and not is_harmless(before.get(member.address, member.driver))
    )
