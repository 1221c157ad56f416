"""What others found out about models of cards: reports, not measurements, each with its source.

Which chip an id is: the PCI ID Repository (pci.ids) by AMD's and NVIDIA's names there. For AMD's
older chips gnif/vendor-reset lists the ids it has a reset for (src/device-db.h).
"""

from __future__ import annotations

from phyllome_seat.model.address import PciId
from phyllome_seat.model.value import dataclass

_AMD, _NVIDIA = 0x1002, 0x10DE


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is reported of some ids, and what is told to help; ranges include both ends."""

    vendor: int
    ids: tuple[tuple[int, int], ...]
    words: str
    source: str
    fix: str


_THRICE = "start and stop its guest three times before you rely on it"
_TROUBLES = (
    Trouble(  # Polaris 10, 11, 12; Vega 10, 20; Navi 10, 12, 14
        _AMD,
        (
            *((0x67C0, 0x67DF), (0x67E0, 0x67FF), (0x6980, 0x699F), (0x6FDF, 0x6FDF)),
            *((0x6860, 0x687F), (0x66A0, 0x66AF)),
            *((0x7310, 0x731F), (0x7340, 0x734F), (0x7360, 0x7362)),
        ),
        "this chip does not reset by itself: a second start of its guest may want the PC rebooted",
        "github.com/gnif/vendor-reset, README",
        f"{_THRICE}; the module vendor-reset has a reset for it, of your own making and signing",
    ),
    Trouble(  # Navi 31, 32, 33
        _AMD,
        ((0x7440, 0x745E), (0x7460, 0x747E), (0x7480, 0x749F), (0x73F0, 0x73F0)),
        "some of this chip do not reset: a second start of the guest may want the PC rebooted",
        "github.com/gnif/vendor-reset, issues 41, 53 and 97",
        _THRICE,
    ),
    Trouble(  # Navi 44, 48
        _AMD,
        ((0x7550, 0x755F), (0x7590, 0x759F)),
        "some of this chip do not reset: a second start of the guest may want the PC rebooted",
        "github.com/gnif/vendor-reset, issue 107",
        _THRICE,
    ),
    Trouble(  # Blackwell: GB202, GB203, GB205, GB206, GB207
        _NVIDIA,
        ((0x2B80, 0x2BFF), (0x2C00, 0x2C7F), (0x2D00, 0x2DFF), (0x2F00, 0x2F7F)),
        "of this chip it is reported that the host stands still when its guest ends",
        "github.com/NVIDIA/open-gpu-kernel-modules, issues 853 and 1353",
        f"bring its firmware and the kernel up to date; {_THRICE}",
    ),
)


def find_troubles(identity: PciId) -> tuple[Trouble, ...]:
    """Return what is reported of this model."""
    return tuple(
        trouble
        for trouble in _TROUBLES
        if trouble.vendor == identity.vendor
        and any(first <= identity.device <= last for first, last in trouble.ids)
    )


def has_no_bus_reset(identity: PciId) -> bool:
    """Whether the kernel knows that this card does not survive the reset of its bus.

    drivers/pci/quirks.c, ``quirk_nvidia_no_bus_reset``.
    """
    return identity.vendor == _NVIDIA and identity.device & 0xFFC0 == 0x2340
