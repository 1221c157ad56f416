"""Numbers and addresses as sysfs writes them; None for any other text, which is never an error."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.errors import AddressError


def read_number(text: str | None, base: int = 10) -> int | None:
    """Return the whole number that `text` is in that base (0: as ``0x`` says), else None."""
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None


def find_address(text: str | None) -> PciAddress | None:
    """Return the PCI address that `text` is, None where it is none."""
    # A device's path has a dozen names and few addresses: the comparison is cheaper than a try.
    if text is None or text[-2:-1] != ".":
        return None
    try:
        return PciAddress.parse(text)
    except AddressError:
        return None


def find_addresses(path: str) -> tuple[PciAddress, ...]:
    """Return every PCI function that a device's path leads through, the device itself last."""
    found = (find_address(name) for name in path.split("/"))
    return tuple(address for address in found if address is not None)
