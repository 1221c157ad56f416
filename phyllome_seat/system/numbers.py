"""Numbers and addresses as sysfs writes them; None for any other text, which is never an error."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.errors import AddressError

# Each function's name is in the path of all that hangs below it: of what a machine has, each name
# is parsed once. (functools.cache would have to be imported.)
_PARSED: dict[str, PciAddress | None] = {}


def read_number(text: str | None, base: int = 10) -> int | None:
    """Return the whole number that `text` is in that base (0: as ``0x`` says), else None."""
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None


def find_address(text: str | None) -> PciAddress | None:
    """Return the PCI address that `text` is, None where it is none."""
    # A device's path has a dozen names and few addresses: the comparison is cheaper than a try.
    return None if text is None or text[-2:-1] != "." else _parse_address(text)


def _parse_address(text: str) -> PciAddress | None:
    if text not in _PARSED:
        try:
            _PARSED[text] = PciAddress.parse(text)
        except AddressError:
            _PARSED[text] = None
    return _PARSED[text]


def find_addresses(path: str) -> tuple[PciAddress, ...]:
    """Return every PCI function that a device's path leads through, the device itself last."""
    found = [_parse_address(name) for name in path.split("/") if name[-2:-1] == "."]
    return tuple([address for address in found if address is not None])


def find_nearest(path: str) -> PciAddress | None:
    """Return the last PCI function that a device's path leads through, None without any."""
    end = len(path)
    while (dot := path.rfind(".", 0, end)) > 0:
        if path[dot + 2 : dot + 3] in ("", "/"):  # one sign behind it: a name's last but one
            address = _parse_address(path[path.rfind("/", 0, dot) + 1 : dot + 2])
            if address is not None:
                return address
        end = dot
    return None


def order_of(address: PciAddress) -> tuple[int, int, int, int]:
    """Return what sorts like the address itself, several times quicker."""
    return address.domain, address.bus, address.device, address.function
