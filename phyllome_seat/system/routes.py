"""The routes of the host and its IPv6 addresses, from ``/proc/net``.

Formats: net/ipv4/fib_trie.c ``fib_route_seq_show``, net/ipv6/route.c ``rt6_info_route``,
net/ipv6/addrconf.c ``if6_seq_show``.
"""

from __future__ import annotations

from phyllome_seat.model.value import dataclass
from phyllome_seat.system.ip import parse_kernel_address
from phyllome_seat.system.sysfs import Sysfs

_USABLE, _REJECT = 0x0001, 0x0200  # RTF_UP and RTF_REJECT, include/uapi/linux/route.h


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the main table; ``length`` is that of the prefix, in bits."""

    interface: str
    prefix: bytes
    length: int
    metric: int
    direct: bool  # the other end is on this link, not behind a gateway
    evidence: str

    def leads_to(self, address: bytes) -> bool:
        """Return whether this is a way to `address`."""
        bits = 8 * len(address)
        return len(address) == len(self.prefix) and not (
            int.from_bytes(address, "big") ^ int.from_bytes(self.prefix, "big")
        ) >> (bits - self.length)


def read_routes(sysfs: Sysfs) -> tuple[Route, ...]:
    """Return the usable routes of the main table that do not end in this host."""
    routes = [_parse_route4(line.split()) for line in _lines(sysfs, "proc/net/route")[1:]]
    routes += [_parse_route6(line.split()) for line in _lines(sysfs, "proc/net/ipv6_route")]
    return tuple(route for route in routes if route is not None and route.interface != "lo")


def find_ways(routes: tuple[Route, ...], address: bytes) -> tuple[str, ...]:
    """Return the interfaces that packets to `address` leave by: more than one when that is open."""
    ways = [route for route in routes if route.leads_to(address)]
    best = min(((-way.length, way.metric) for way in ways), default=None)
    found = [way.interface for way in ways if (-way.length, way.metric) == best]
    return tuple(dict.fromkeys(found))


def read_owners(sysfs: Sysfs) -> dict[bytes, str]:
    """Return the interface of each IPv6 address of this host."""
    owners = {}
    for line in _lines(sysfs, "proc/net/if_inet6"):
        fields = line.split()
        if len(fields) == 6:
            owners[_hex(fields[0])] = fields[5]
    return owners


def _lines(sysfs: Sysfs, path: str) -> list[str]:
    return (sysfs.read(path) or "").split("\n")


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _parse_route4(fields: list[str]) -> Route | None:
    """Return the route of interface, destination, gateway, flags, ., ., metric, mask, ..."""
    try:
        prefix = parse_kernel_address(fields[1])
        gateway, flags, metric = int(fields[2], 16), int(fields[3], 16), int(fields[6])
        length = int(fields[7], 16).bit_count()
    except (ValueError, IndexError):
        return None
    if not flags & _USABLE or flags & _REJECT or len(prefix) != 4 or length > 32:
        return None
    return Route(fields[0], prefix, length, metric, gateway == 0, "/proc/net/route")


def _parse_route6(fields: list[str]) -> Route | None:
    """Return the route of destination, length, ., ., gateway, metric, ., ., flags, interface."""
    try:
        prefix, length = bytes.fromhex(fields[0]), int(fields[1], 16)
        gateway, metric, flags = int(fields[4], 16), int(fields[5], 16), int(fields[8], 16)
        interface = fields[9]
    except (ValueError, IndexError):
        return None
    if not flags & _USABLE or flags & _REJECT or len(prefix) != 16 or length > 128:
        return None
    return Route(interface, prefix, length, metric, gateway == 0, "/proc/net/ipv6_route")
