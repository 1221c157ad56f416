"""Which places hold the last keyboards of the host."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import Host, InputDevice, UsbDevice
from phyllome_seat.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Place = TypeVar("Place", PciAddress, UsbPort)

# A keyboard on no USB and no PCI device is real where it is wired to the board (PS/2, I2C). Of
# these buses it is made by a program, or hangs on a radio that may leave with its controller:
# include/uapi/linux/input.h, BUS_USB, BUS_BLUETOOTH, BUS_VIRTUAL.
BUS_BLUETOOTH = 0x05
_UNPLACED = frozenset({0x03, BUS_BLUETOOTH, 0x06})
# Wireless controller, radio, Bluetooth: USB-IF, "Defined Class Codes", base class E0.
_BLUETOOTH_INTERFACE = "e00101"
# A security key types its codes as a keyboard does, and has no keys: Yubico, by its USB vendor id.
_NOT_TYPED_ON = frozenset({0x1050})


def find_radios(host: Host) -> tuple[UsbDevice, ...]:
    """Return the Bluetooth adapters on USB."""
    return tuple(d for d in host.usb if _BLUETOOTH_INTERFACE in d.interfaces and not d.remembered)


def placed_inputs(host: Host) -> tuple[InputDevice, ...]:
    """Return the inputs of a host, those by Bluetooth at the adapter where there is but one.

    BlueZ makes the node of a Low Energy keyboard by /dev/uhid, and the kernel knows no place of it
    (drivers/hid/uhid.c); one of the older kind hangs on its adapter in sysfs.
    """
    radios = find_radios(host)
    port = radios[0].port if len(radios) == 1 else None
    if port is None:
        return host.inputs
    return tuple(
        replace(device, usb=port, pci=port.controller)
        if device.bus_type == BUS_BLUETOOTH and device.usb is None and device.pci is None
        else device
        for device in host.inputs
    )


def find_last_keyboards(
    inputs: tuple[InputDevice, ...], leaving: Collection[PciAddress], ports: Collection[UsbPort]
) -> tuple[tuple[InputDevice, ...], frozenset[PciAddress], frozenset[UsbPort]]:
    """Return the last keyboards, and the functions and USB places that hold all of them.

    They are those that stay when `leaving` and `ports` have left, or, when none stays, those that
    leave: then every place of any of them counts. A hub holds what is behind it and counts where
    no single place does. No places where one keyboard more would remain, or there never was one.
    """
    keyboards = tuple(device for device in inputs if is_typed_on(device))
    gone, going = frozenset(leaving), frozenset(ports)
    kept = tuple(k for k in keyboards if not _leaves(k, gone, going))
    last = kept or keyboards
    functions = (frozenset(_functions(keyboard)) for keyboard in last)
    if not kept:
        return last, frozenset().union(*functions), frozenset(k.usb for k in last if k.usb)
    usb = _common(frozenset(_above(keyboard.usb)) for keyboard in last)
    deepest = max(usb, key=lambda port: len(port.ports), default=None)
    return last, _common(functions), frozenset({deepest} if deepest else ())


def _functions(keyboard: InputDevice) -> Iterator[PciAddress]:
    """Yield the function that a keyboard hangs on, and its USB controller."""
    if keyboard.pci:
        yield keyboard.pci
    if keyboard.usb:
        yield keyboard.usb.controller


def _common(sets: Iterator[frozenset[Place]]) -> frozenset[Place]:
    """Return what is in every set; where nothing is, the rest is not looked at."""
    common = next(sets)
    for more in sets:
        common &= more
        if not common:
            break
    return common


def is_typed_on(device: InputDevice) -> bool:
    """Whether a person at the host can type text on it."""
    if not device.is_keyboard or device.remembered or device.vendor in _NOT_TYPED_ON:
        return False
    is_placed = device.pci is not None or device.usb is not None
    return is_placed or device.bus_type not in _UNPLACED


def _leaves(
    keyboard: InputDevice, leaving: frozenset[PciAddress], ports: frozenset[UsbPort]
) -> bool:
    if keyboard.pci in leaving or (keyboard.usb and keyboard.usb.controller in leaving):
        return True
    return bool(ports) and any(port in ports for port in _above(keyboard.usb))


def _above(port: UsbPort | None) -> Iterator[UsbPort]:
    """Yield a USB place and those of the hubs it is behind."""
    while port:
        yield port
        port = port.parent
