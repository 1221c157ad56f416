"""Tokens in place of what names a person or one device, and screens, USB and inputs with them."""

from __future__ import annotations

import re

from phyllome_seat.model.devices import Connector, Host, InputDevice, UsbDevice
from phyllome_seat.model.value import replace

_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
# People name what is on these buses, or a program does: BUS_BLUETOOTH, BUS_VIRTUAL. What is on no
# bus that can be seen is a program's too, but on the board's own: BUS_I8042, BUS_I2C, BUS_HOST,
# BUS_SPI. include/uapi/linux/input.h
_NAMED, _OF_THE_BOARD = frozenset({0x05, 0x06}), frozenset({0x11, 0x18, 0x19, 0x1C})
# How drivers write ``phys``: usb_make_path(), drivers/input/serio, drivers/acpi, drivers/hid/
# i2c-hid, sound/core/jack.c
_PHYS = re.compile(
    r"(usb-[\da-f:.]+-[\d.]+|isa0060/serio\d|[A-Z]{3,4}\w{2,6}/(button|video))(/input\d)?|ALSA"
    r"|i2c-[A-Z]{3,4}[\dA-F]{4}:\d\d"
)
# Classes whose devices have their names from their makers: audio, HID, printer, storage, hub, smart
# card, video, audio and video, billboard, firmware update, radio. Others, phones (06, 02, ff) and
# computers that act as a device, can be given one; so can what is reached as a network (e00103). Of
# ff: Xbox pads, drivers/input/joystick/xpad.c. USB-IF, "Defined Class Codes"
_BY_MAKER = re.compile(r"(01|03|07|08|09|0b|0e|10|11|fe01|e001(?!03)|ff5d|ff47d0|fffd13)[\da-f]*")
_OWNED = re.compile(r"['’]s?(\s|$)")  # "Alice's", "James'"


class Tokens:
    """Tokens by kind and text, numbered in the order of asking."""

    def __init__(self, host: Host) -> None:
        self._known: dict[str, dict[str, str]] = {}
        self.nameless = frozenset(d.port for d in host.usb if d.port and not _is_by_maker(d))

    def of(self, kind: str, text: str) -> str:
        """Return the token of a text; of an empty one, itself."""
        known = self._known.setdefault(kind, {})
        return known.setdefault(text, f"{kind}-{len(known) + 1}") if text else text

    def maybe(self, kind: str, text: str | None) -> str | None:
        """Return the token of a text that may not be there."""
        return None if text is None else self.of(kind, text)

    def name(self, text: str) -> str:
        """Return a name that a maker gave, a token for one that says whose it is."""
        return self.of("device", text) if _OWNED.search(text) else self.scrub(text)

    def scrub(self, text: str) -> str:
        """Return a name without the addresses and serials that some devices have in it."""
        text = _MAC.sub(lambda found: self.of("mac", found[0]), text)
        for serial, token in self._known.get("serial", {}).items():
            if len(serial) > 3:
                text = text.replace(serial, token)
        return text


def redact_connector(connector: Connector, tokens: Tokens) -> Connector:
    """Return a connector whose monitor has no serial of its own."""
    monitor = connector.monitor
    if monitor is None:
        return connector
    number = monitor.serial_number
    if number:
        number = int(tokens.of("number", str(number)).rpartition("-")[2])
    serial = tokens.maybe("serial", monitor.serial)
    name = monitor.name and tokens.name(monitor.name)
    return replace(
        connector,
        monitor=replace(monitor, serial=serial, serial_number=number, name=name, week=None),
    )


def redact_usb(device: UsbDevice, tokens: Tokens) -> UsbDevice:
    """Return a USB device without its serial, and without a name that a person may have given."""
    serial = tokens.maybe("serial", device.serial)
    maker, product = device.manufacturer, device.product
    if not _is_by_maker(device):
        return replace(
            device,
            serial=serial,
            manufacturer=tokens.maybe("maker", maker),
            product=tokens.maybe("device", product),
        )
    return replace(
        device,
        serial=serial,
        manufacturer=maker and tokens.name(maker),
        product=product and tokens.name(product),
    )


def _is_by_maker(device: UsbDevice) -> bool:
    """Whether all that a USB device is has its name from a maker."""
    return bool(device.interfaces) and all(map(_BY_MAKER.fullmatch, device.interfaces))


def redact_input(device: InputDevice, tokens: Tokens) -> InputDevice:
    """Return an input without what names its owner or its one specimen."""
    uniq = tokens.maybe("serial", device.uniq)
    if _is_named_by_maker(device, tokens):
        name = tokens.name(device.name)
    else:
        name = tokens.of("device", device.name)
    phys = device.phys
    if phys and not _PHYS.fullmatch(phys):  # by Bluetooth, it is the adapter's address
        phys = tokens.of("mac" if _MAC.fullmatch(phys) else "phys", phys)
    seat = device.seat and redact_seat(device.seat, tokens)
    return replace(device, uniq=uniq, name=name, phys=phys, seat=seat)


def _is_named_by_maker(device: InputDevice, tokens: Tokens) -> bool:
    """Whether the name of an input is its maker's, or its driver's, and no person's."""
    if device.bus_type in _NAMED or (device.usb and device.usb in tokens.nameless):
        return False
    is_placed = device.usb is not None or device.pci is not None
    return is_placed or device.bus_type in _OF_THE_BOARD


def redact_seat(name: str, tokens: Tokens) -> str:
    """Return the host's own seat by its name, another by a token."""
    return name if name == "seat0" else tokens.of("seat", name)
