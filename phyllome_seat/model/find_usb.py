"""Which plugged-in USB device a person means: by place, kernel name, or what it is."""

from __future__ import annotations

from difflib import get_close_matches

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.devices import Host, UsbDevice
from phyllome_seat.model.errors import UnknownDeviceError

_FORMS = "a port as `phyllome-seat scan` has it, an id, id/serial, or the kernel's name like 1-2"


def find_usb(host: Host, text: str) -> UsbDevice:
    """Return the one device that `text` means.

    UnknownDeviceError where that is none or several; then all candidates are in the sentence.
    """
    plugged = [device for device in host.usb if not device.remembered]
    found = [device for device in plugged if text in _names(device)]
    found = found or [device for device in plugged if text in _socket_names(host, device)]
    if len(found) == 1:
        return found[0]
    if found:
        named = "\n".join(f"  {_words(device)}" for device in found)
        raise UnknownDeviceError(
            f"{text} is {len(found)} devices:\n{named}", hint="name the one you mean by its port"
        )
    _refuse_hidden(host, text)
    names = [name for device in host.usb for name in _names(device) if not device.is_hub]
    near = get_close_matches(text[:64], names, n=3)
    raise UnknownDeviceError(
        f"{text[:64]!r} is no USB device that is plugged in",
        hint=f"did you mean {' or '.join(near)}?" if near else f"name it by {_FORMS}",
    )


def _names(device: UsbDevice) -> tuple[str, ...]:
    """Return all texts that mean a device."""
    names = [device.sysname, str(device.id)]
    if device.serial is not None:
        names.append(f"{device.id}/{device.serial}")
    return (*names, *(_port_names(device.port) if device.port else ()))


def _port_names(port: UsbPort) -> tuple[str, ...]:
    _, speed, chain = str(port).split("/")
    return str(port), f"{speed}/{chain}", f"{speed} {chain}"


def _socket_names(host: Host, device: UsbDevice) -> tuple[str, ...]:
    """Return what the socket of a device is called, by either of its speeds."""
    socket = host.by_port.get(device.port) if device.port else None
    return tuple(name for port in (socket.ports if socket else ()) for name in _port_names(port))


def _words(device: UsbDevice) -> str:
    serial = f" serial {device.serial}" if device.serial else ""
    return f"{device.port or device.sysname}  {device.name} ({device.id}{serial})"


def _refuse_hidden(host: Host, text: str) -> None:
    for device in host.usb:
        if device.remembered and text in _names(device) and device.port is not None:
            raise UnknownDeviceError(
                f"{device.port} ({device.name}) is on {device.port.controller}, which a guest has "
                "whole: it sees every plug by itself, and nothing is to be lent",
                hint="plug it in elsewhere to lend it",
            )
