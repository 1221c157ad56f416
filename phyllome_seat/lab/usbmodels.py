"""USB devices as values: what each shows of itself, and how it answers a control request. Pure.

Descriptors are those of USB 2.0 chapter 9 and USB 3.2 chapter 9.6; HID's are of "Device Class
Definition for HID 1.11".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Self

from phyllome_seat.lab.description import UsbKind, UsbThing
from phyllome_seat.lab.usbredir import Speed

BULK, INTERRUPT = 2, 3
STRING_UNITS = 126  # a descriptor's length is one byte, two of it are its head
# Quotes, a newline, %, a terminal's escape sequence, a backslash, XML, a shell's words.
HOSTILE = "\"'\n%s%n\x1b[31m\\$(reboot)`id`</serial>&lt;../..,=;:\t\x7f\u202e\U0001f4a9"

# Button N of a HID gamepad is BTN_GAMEPAD + N - 1 (drivers/hid/hid-input.c): the names and order of
# include/uapi/linux/input-event-codes.h.
BUTTONS = (
    *("south", "east", "c", "north", "west", "z", "tl", "tr", "tl2", "tr2"),
    *("select", "start", "mode", "thumbl", "thumbr"),
)
GAMEPAD_REPORT = bytes.fromhex(
    "05010905a101"  # generic desktop, game pad, an application
    "0930093115002 6ff00750895028102".replace(" ", "")  # x and y, from 0 to 255
    + "05091901290f150025017501950f8102"  # 15 buttons, a bit each
    + "750195018103c0"  # one bit of nothing
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint; bit 7 of ``address`` is set for one that the PC reads."""

    address: int
    kind: int
    size: int
    interval: int = 0


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface; ``report`` is the HID report descriptor of one that has it."""

    kind: tuple[int, int, int]  # class, subclass, protocol
    endpoints: tuple[Endpoint, ...] = ()
    report: bytes = b""


@dataclass(frozen=True, slots=True)
class Face:
    """What a device shows of itself while it is plugged: another face takes a reconnect."""

    vendor: int
    product: int
    name: str
    serial: str
    interfaces: tuple[Interface, ...]
    speed: Speed = Speed.FULL
    maker: str = "Phyllome lab"
    version: int = 0x0100

    def __post_init__(self) -> None:
        for text in (self.maker, self.name, self.serial):
            if len(_utf16(text)) > 2 * STRING_UNITS:
                raise ValueError(f"{text[:20]!r}...: a USB string has at most {STRING_UNITS} units")

    def with_id(self, vendor: int, product: int) -> Self:
        """Returns the same device under another id."""
        return replace(self, vendor=vendor, product=product)

    def device(self) -> bytes:
        """Returns the device descriptor."""
        usb, largest = (0x0300, 9) if self.speed is Speed.SUPER else (0x0200, 64)
        ids = (self.vendor, self.product, self.version)
        return struct.pack("<BBHBBBBHHHBBBB", 18, 1, usb, 0, 0, 0, largest, *ids, 1, 2, 3, 1)

    def configuration(self) -> bytes:
        """Returns the one configuration with all that belongs to it."""
        body = b"".join(
            self._interface(number, each) for number, each in enumerate(self.interfaces)
        )
        current = 12 if self.speed is Speed.SUPER else 50  # 100 mA, in units of 8 or 2 mA
        head = (9, 2, 9 + len(body), len(self.interfaces), 1, 0, 0x80, current)
        return struct.pack("<BBHBBBBB", *head) + body

    def bos(self) -> bytes:
        """Returns what a SuperSpeed device must say of the speeds it has."""
        usb2 = struct.pack("<BBBI", 7, 0x10, 2, 0)
        usb3 = struct.pack("<BBBBHBBH", 10, 0x10, 3, 0, 0x000E, 1, 0, 0)
        return struct.pack("<BBHB", 5, 15, 5 + len(usb2 + usb3), 2) + usb2 + usb3

    def string(self, number: int) -> bytes | None:
        """Returns a string descriptor: 0 the languages, 1 the maker, 2 the name, 3 the serial."""
        texts = {
            0: b"\x09\x04",
            1: _utf16(self.maker),
            2: _utf16(self.name),
            3: _utf16(self.serial),
        }
        text = texts.get(number)
        return None if text is None else bytes((2 + len(text), 3)) + text

    def answer(self, request_type: int, request: int, value: int, index: int) -> bytes | None:
        """Returns what the device answers to a control request, None to stall; all of it.

        What only tells the device something (idle rate, protocol, SEL, a feature) it takes.
        """
        if request_type & 0x80 == 0:
            return b""
        if request_type & 0x60 == 0 and request == 6:  # GET_DESCRIPTOR
            return self._descriptor(request_type & 0x1F, value >> 8, value & 0xFF, index)
        if request_type & 0x60 == 0 and request == 0:  # GET_STATUS
            return b"\0\0"
        if request_type == 0xA1 and request == 0xFE:  # GET_MAX_LUN of mass storage: one
            return b"\0"
        return None

    def _descriptor(self, of: int, kind: int, number: int, index: int) -> bytes | None:
        if of == 1:
            report = self.interfaces[index].report if index < len(self.interfaces) else b""
            return {0x21: _hid(report), 0x22: report}.get(kind) if report else None
        match kind:
            case 1:
                return self.device()
            case 2:
                return self.configuration()
            case 3:
                return self.string(number)
            case 15 if self.speed is Speed.SUPER:
                return self.bos()
        return None

    def _interface(self, number: int, interface: Interface) -> bytes:
        counts = (number, 0, len(interface.endpoints))
        parts = [bytes((9, 4, *counts, *interface.kind, 0))]
        if interface.report:
            parts.append(_hid(interface.report))
        for each in interface.endpoints:
            head = (7, 5, each.address, each.kind, each.size, each.interval)
            parts.append(struct.pack("<BBBBHB", *head))
            if self.speed is Speed.SUPER:
                parts.append(struct.pack("<BBBBH", 6, 0x30, 0, 0, 0))
        return b"".join(parts)


def gamepad_report(x: int, y: int, pressed: frozenset[str]) -> bytes:
    """Returns a gamepad's report: its stick, from 0 to 255 each way, and what is held down."""
    bits = sum(1 << BUTTONS.index(name) for name in pressed)
    return struct.pack("<BBH", x, y, bits)


def _hid(report: bytes) -> bytes:
    return struct.pack("<BBHBBBH", 9, 0x21, 0x0111, 0, 1, 0x22, len(report))


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


_PAD = Interface((3, 0, 0), (Endpoint(0x81, INTERRUPT, 8, 4),), GAMEPAD_REPORT)
# Vendor-specific, so that no driver of the PC wants to talk to it.
_PLAIN = Interface((0xFF, 0, 0), (Endpoint(0x81, INTERRUPT, 8, 4),))


def _bulk(kind: tuple[int, int, int], size: int) -> Interface:
    return Interface(kind, (Endpoint(0x81, BULK, size), Endpoint(0x02, BULK, size)))


# 1209 is pid.codes', whose products 0001 to 0010 are for testing.
FACES = {
    UsbKind.GAMEPAD: (Face(0x1209, 0x0001, "Gamepad", "PAD1", (_PAD,)),),
    UsbKind.CHANGING: (
        Face(0x1209, 0x0002, "Changing device", "CHANGE1", (_PLAIN,)),
        Face(0x1209, 0x0003, "Changed device", "CHANGE1", (_PLAIN,)),
    ),
    UsbKind.RESETTING: (Face(0x1209, 0x0004, "Resetting device", "RESET1", (_PLAIN,)),),
    UsbKind.SUPERSPEED: (
        Face(
            *(0x1209, 0x0005, "SuperSpeed device", "SUPER1"),
            (_bulk((0xFF, 0, 0), 1024),),
            Speed.SUPER,
        ),
    ),
    UsbKind.HOSTILE: (
        Face(0x1209, 0x0006, HOSTILE, HOSTILE.ljust(STRING_UNITS - 1, "%"), (_PLAIN,)),
    ),
    # Storage until it is ejected, then a modem, as sticks that carry their own drivers are.
    UsbKind.MODEM: (
        Face(0x1209, 0x0007, "Modem's disc", "MODEM1", (_bulk((8, 6, 0x50), 512),), Speed.HIGH),
        Face(0x1209, 0x0008, "Modem", "MODEM1", (_bulk((0xFF, 0, 0), 512),), Speed.HIGH),
    ),
}


def faces(thing: UsbThing) -> tuple[Face, ...]:
    """Returns the faces of a thing, the one it begins with first; its serial is the thing's."""
    shown = FACES[thing.kind]
    if thing.serial is None:
        return shown
    return tuple(replace(face, serial=thing.serial) for face in shown)
