"""The USB redirection protocol 0.7, the part a device needs: bytes ⇄ packets. Touches nothing.

Source: "USB Network Redirection protocol description", docs/usb-redirection-protocol.md of
https://gitlab.freedesktop.org/spice/usbredir; the names here are its names. The device's side is
the protocol's usb-host, QEMU is its usb-guest. Integers are little-endian, nothing is padded.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phyllome_seat.lab.errors import LabError

VERSION = b"phyllome-seat lab"
BODY_LIMIT = 1 << 24  # far above the 64 KiB that one transfer has without 32-bit lengths
ENDPOINTS = 32  # 0 to 15 out, then 0 to 15 in
NO_ENDPOINT = 255  # usb_redir_type_invalid


class Kind(enum.IntEnum):
    """Packet types; those that nobody sends without a capability of ours are left out."""

    HELLO = 0
    DEVICE_CONNECT = 1
    DEVICE_DISCONNECT = 2
    RESET = 3
    INTERFACE_INFO = 4
    EP_INFO = 5
    SET_CONFIGURATION = 6
    GET_CONFIGURATION = 7
    CONFIGURATION_STATUS = 8
    SET_ALT_SETTING = 9
    GET_ALT_SETTING = 10
    ALT_SETTING_STATUS = 11
    START_ISO_STREAM = 12
    STOP_ISO_STREAM = 13
    ISO_STREAM_STATUS = 14
    START_INTERRUPT_RECEIVING = 15
    STOP_INTERRUPT_RECEIVING = 16
    INTERRUPT_RECEIVING_STATUS = 17
    CANCEL_DATA_PACKET = 21
    FILTER_REJECT = 22
    FILTER_FILTER = 23
    DEVICE_DISCONNECT_ACK = 24
    CONTROL_PACKET = 100
    BULK_PACKET = 101
    ISO_PACKET = 102
    INTERRUPT_PACKET = 103


class Status(enum.IntEnum):
    """How a request ended."""

    SUCCESS = 0
    CANCELLED = 1
    INVALID = 2
    STALL = 4


class Speed(enum.IntEnum):
    """How fast a device is."""

    LOW = 0
    FULL = 1
    HIGH = 2
    SUPER = 3


class Capability(enum.IntFlag):
    """What a side can do, as the one 32-bit word of a hello."""

    CONNECT_DEVICE_VERSION = 1 << 1
    FILTER = 1 << 2
    DEVICE_DISCONNECT_ACK = 1 << 3
    EP_INFO_MAX_PACKET_SIZE = 1 << 4
    IDS_64BIT = 1 << 5
    BULK_LENGTH_32BIT = 1 << 6


# QEMU's xHCI takes no device without largest packet sizes, 64-bit ids and 32-bit lengths
# (usbredir_do_attach, hw/usb/redirect.c). FILTER, so that it says when it rejects a device.
OURS = (
    Capability.CONNECT_DEVICE_VERSION
    | Capability.FILTER
    | Capability.DEVICE_DISCONNECT_ACK
    | Capability.EP_INFO_MAX_PACKET_SIZE
    | Capability.IDS_64BIT
    | Capability.BULK_LENGTH_32BIT
)

CONTROL = struct.Struct("<BBBBHHH")  # endpoint, request, request type, status, value, index, length
BULK = struct.Struct("<BBHI")  # endpoint, status, length, stream; then 16 bits more of length
INTERRUPT = struct.Struct("<BBH")  # endpoint, status, length
CONNECT = struct.Struct("<BBBBHHH")  # speed, class, subclass, protocol, vendor, product, version


class ProtocolError(LabError):
    """The other side did not speak the USB redirection protocol."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; ``kind`` is a `Kind`, or another number that this module has no name for."""

    kind: int
    body: bytes = b""
    id: int = 0


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk packet's own head and data; ``length`` is what is asked for, or was done."""

    endpoint: int
    length: int
    stream: int = 0
    status: int = Status.SUCCESS
    data: bytes = b""

    def render(self, both: Capability) -> bytes:
        """Returns the body of a packet; long lengths when both sides can."""
        low, high = self.length & 0xFFFF, self.length >> 16
        more = struct.pack("<H", high) if Capability.BULK_LENGTH_32BIT in both else b""
        return BULK.pack(self.endpoint, self.status, low, self.stream) + more + self.data


def parse_bulk(body: bytes, both: Capability) -> Bulk:
    """Returns what a bulk packet says."""
    endpoint, status, length, stream = BULK.unpack_from(body)
    at = BULK.size
    if Capability.BULK_LENGTH_32BIT in both:
        length |= struct.unpack_from("<H", body, at)[0] << 16
        at += 2
    return Bulk(endpoint, length, stream, status, body[at:])


def hello(capabilities: Capability = OURS) -> Packet:
    """Returns the packet with which each side begins."""
    return Packet(Kind.HELLO, VERSION.ljust(64, b"\0") + struct.pack("<I", capabilities))


def parse_hello(packet: Packet) -> Capability:
    """Returns what the other side can do; none when its hello has no such word."""
    if packet.kind != Kind.HELLO or len(packet.body) < 64:
        raise ProtocolError(f"a hello was expected, got a packet of type {packet.kind}")
    words = packet.body[64:68]
    return Capability(struct.unpack("<I", words)[0] if len(words) == 4 else 0)


def render(packet: Packet, *, wide: bool) -> bytes:
    """Returns a packet's bytes; ids are 64 bits ``wide`` when both sides can, in a hello never."""
    head = "<IIQ" if wide and packet.kind != Kind.HELLO else "<III"
    return struct.pack(head, packet.kind, len(packet.body), packet.id) + packet.body


class Parser:
    """Takes a stream in pieces of any size; the first packet is a hello and decides the rest."""

    def __init__(self, ours: Capability = OURS) -> None:
        self._ours = ours
        self._bytes = bytearray()
        self.theirs: Capability | None = None

    @property
    def both(self) -> Capability:
        """What both sides can do; nothing before the other side's hello."""
        return self._ours & (self.theirs or Capability(0))

    @property
    def wide(self) -> bool:
        """Whether ids have 64 bits."""
        return Capability.IDS_64BIT in self.both

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yields the packets that are whole with this piece; ProtocolError for nonsense."""
        self._bytes += data
        while (packet := self._next()) is not None:
            if self.theirs is None:
                self.theirs = parse_hello(packet)
            yield packet

    def _next(self) -> Packet | None:
        head = struct.Struct("<IIQ" if self.wide else "<III")
        if len(self._bytes) < head.size:
            return None
        kind, length, number = head.unpack_from(self._bytes)
        if length > BODY_LIMIT:
            raise ProtocolError(f"a packet of type {kind} claims {length} bytes")
        if len(self._bytes) < head.size + length:
            return None
        body = bytes(self._bytes[head.size : head.size + length])
        del self._bytes[: head.size + length]
        return Packet(kind, body, number)


def interface_info(classes: Sequence[tuple[int, int, int]]) -> Packet:
    """Returns class, subclass and protocol of interfaces 0, 1, ... (at most 32)."""
    columns = [range(len(classes)), *zip(*classes, strict=True)]
    arrays = b"".join(bytes(column).ljust(32, b"\0") for column in columns)
    return Packet(Kind.INTERFACE_INFO, struct.pack("<I", len(classes)) + arrays)


def ep_info(endpoints: Sequence[tuple[int, int, int, int, int]], *, sizes: bool) -> Packet:
    """Returns the endpoints: (address, type, interval, interface, largest packet) of each."""
    table = [(NO_ENDPOINT, 0, 0, 0)] * ENDPOINTS
    table[0] = table[16] = (0, 0, 0, 64)  # endpoint 0, both ways
    for address, kind, interval, interface, size in endpoints:
        table[(address & 0x80) >> 3 | address & 0xF] = (kind, interval, interface, size)
    *columns, largest = zip(*table, strict=True)
    body = b"".join(map(bytes, columns)) + (struct.pack("<32H", *largest) if sizes else b"")
    return Packet(Kind.EP_INFO, body)
