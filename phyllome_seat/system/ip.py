"""IP addresses as bytes in the order they go over the wire, 4 or 16 of them."""

from __future__ import annotations

_MAPPED = b"\0" * 10 + b"\xff\xff"  # IPv4 on an IPv6 socket: RFC 4291, section 2.5.5.2


def parse_kernel_address(text: str) -> bytes:
    """Return the address that ``/proc/net`` prints as numbers of 32 bits; ValueError for none.

    On a little-endian machine each four bytes come the wrong way round. Source:
    net/ipv4/tcp_ipv4.c ``get_tcp4_sock``, net/ipv6/tcp_ipv6.c ``get_tcp6_sock``.
    """
    words = bytes.fromhex(text)
    if len(words) not in (4, 16):
        raise ValueError(text)
    address = b"".join(words[n : n + 4][::-1] for n in range(0, len(words), 4))
    return address.removeprefix(_MAPPED) if len(address) == 16 else address


def parse_address(text: str) -> bytes:
    """Return the bytes of an IPv4 or IPv6 address, none at all for a name or any other text."""
    import socket  # takes as long to import as a scan to run: only for network disks and mounts

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, text.strip("[]"))
        except (OSError, ValueError):
            continue
    return b""


def render_address(address: bytes) -> str:
    """Return an address as people write it."""
    if len(address) == 4:
        return ".".join(map(str, address))
    import socket  # see above: only for a session over IPv6

    return socket.inet_ntop(socket.AF_INET6, address)


def is_loopback(address: bytes) -> bool:
    """Return whether an address is this host's own."""
    return address[:1] == b"\x7f" if len(address) == 4 else address == b"\0" * 15 + b"\1"
