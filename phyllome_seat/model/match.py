"""How a seat names a PCI function or a monitor ⇄ which one that is on this Host.

Each ``find_`` returns what was meant, or raises AssignmentError with one sentence: what is there
now, and where the wanted thing is. Another device is proposed, never taken.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import Connector, Host, PciDevice
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.groups import find_blockers
from phyllome_seat.model.protect import protect
from phyllome_seat.model.seat import MonitorMatch, PciMatch, Seat

# PCI Code and ID Assignment Specification 1.11, section 1: base and sub class.
_SOUND = (0x0401, 0x0403)
_ENCRYPTION = 0x1080


def label(device: PciDevice) -> str:
    """Return a function as messages name it: address first."""
    return f"{device.address} ({device.name})"


def name_monitor(monitor: Monitor) -> str:
    """Return a monitor as messages name it."""
    serial = monitor.serial or (monitor.serial_number and str(monitor.serial_number))
    words = monitor.name or f"{monitor.maker} {monitor.product:04x}"
    return f"{words} (serial {serial})" if serial else words


def is_sound(device: PciDevice) -> bool:
    """Whether this is a sound function."""
    return device.class_code >> 8 in _SOUND


def find_function(host: Host, match: PciMatch) -> PciDevice:
    """Return the function at the place of `match`, if it has the identity of `match`."""
    here = host.by_address.get(match.address)
    if here and match.id.matches(here.id):
        return here
    now = f"{here.name} ({here.id})" if here else "nothing"
    elsewhere = [device for device in host.pci if match.id.matches(device.id)]
    match elsewhere:
        case []:
            way_out = f"no {match.id} is in this PC: name another, or put it back"
        case [only]:
            way_out = f'{label(only)} is the only {match.id} now: write "{only.address}" if it is'
        case _:
            places = ", ".join(_known_by(host, device) for device in elsewhere)
            way_out = f"{match.id} is at {places} now: write the one you mean"
    raise AssignmentError((f"{match.address} is not {match.id}, {now} is there now; {way_out}",))


def _known_by(host: Host, device: PciDevice) -> str:
    """Return an address with what tells twins apart: their monitors, what is plugged into them."""
    plugged = [d for d in host.usb if d.port and d.port.controller == device.address]
    marks = [name_monitor(monitor) for monitor in monitors_on(host, device)]
    marks += [f"{d.name} (serial {d.serial})" if d.serial else d.name for d in plugged]
    return f"{device.address} with {' and '.join(marks[:3])}" if marks else str(device.address)


def find_gpu(host: Host, seat: Seat) -> PciDevice | None:
    """Return the GPU of a seat: by place and identity, or the one its monitor is on."""
    if seat.gpu is None:
        return _find_by_monitor(host, seat.monitor) if seat.monitor else None
    gpu = find_function(host, seat.gpu)
    if not gpu.is_gpu:
        gpus = [label(device) for device in host.pci if device.is_gpu]
        raise AssignmentError(
            (f"{_not_this(host, gpu, 'GPU')}: name one of {', '.join(gpus) or 'none in this PC'}",)
        )
    if seat.monitor:
        _check_monitor(host, gpu, seat.monitor)
    return gpu


def gpu_functions(host: Host, gpu: PciDevice) -> tuple[PciDevice, ...]:
    """Return all functions that go with a GPU, itself first.

    A graphics board is one device with sound, and at times USB. A virtual function is alone. A
    processor's GPU is a function beside the processor's own USB controllers and security
    processor, which stay; its sound goes with it where the IOMMU allows.
    """
    if gpu.physical_function:
        return (gpu,)
    others = tuple(
        device
        for device in host.functions_of(gpu.address)
        if device.address != gpu.address and not device.physical_function and not device.is_bridge
    )
    if any(device.class_code >> 8 == _ENCRYPTION for device in others):
        others = tuple(
            device
            for device in others
            if is_sound(device)
            and device.id.vendor == gpu.id.vendor
            and not find_blockers(host, device.address, (gpu.address,))
        )
    return (gpu, *others)


def monitors_on(host: Host, gpu: PciDevice) -> tuple[Monitor, ...]:
    """Return the monitors that a GPU shows, or showed when the host last saw it."""
    return tuple(c.monitor for c in host.connectors if c.gpu == gpu.address and c.monitor)


def find_controller(host: Host, match: PciMatch) -> PciDevice:
    """Return the USB controller of `match`."""
    device = find_function(host, match)
    if not device.is_usb_controller:
        controllers = [label(other) for other in host.pci if other.is_usb_controller]
        near = ", ".join(controllers) or "none in this PC"
        raise AssignmentError((f"{_not_this(host, device, 'USB controller')}: name one of {near}",))
    return device


def _not_this(host: Host, device: PciDevice, wanted: str) -> str:
    """Return that a function is not of the wanted kind, with what the host needs it for."""
    reasons = protect(host).pci.get(device.address, ())
    needed = ", ".join(dict.fromkeys(reason.words for reason in reasons))
    return f"{label(device)} is no {wanted}" + (f" but {needed}" if needed else "")


def find_companions(
    host: Host, controller: PciDevice, leaving: tuple[PciAddress, ...]
) -> tuple[PciDevice, ...]:
    """Return what leaves with a USB controller because its IOMMU group asks for it.

    Those are the other USB controllers of the same device, and only if nothing else blocks the
    group: then a person has to decide.
    """
    blockers = find_blockers(host, controller.address, leaving)
    same = host.functions_of(controller.address)
    if all(blocker.is_usb_controller and blocker in same for blocker in blockers):
        return blockers
    return ()


def is_meant(match: MonitorMatch, monitor: Monitor) -> bool:
    """Whether every part that a match gives is what the monitor says."""
    number = None if monitor.serial_number is None else str(monitor.serial_number)
    return (
        match.maker in (None, monitor.maker)
        and match.name in (None, monitor.name)
        and match.serial in (None, monitor.serial, number)
    )


def _in_words(match: MonitorMatch) -> str:
    words = [word for word in (match.maker, match.name) if word]
    return " ".join(["monitor", *words, *([f"(serial {match.serial})"] if match.serial else [])])


def _found(host: Host, match: MonitorMatch) -> tuple[Connector, ...]:
    return tuple(c for c in host.connectors if c.monitor and is_meant(match, c.monitor))


def _seen(host: Host) -> str:
    """Return all monitors of a PC in words."""
    seen = [f"{name_monitor(c.monitor)} on {c.gpu}" for c in host.connectors if c.monitor]
    return ", ".join(seen) or "none"


def _find_by_monitor(host: Host, match: MonitorMatch) -> PciDevice:
    gpus = sorted({connector.gpu for connector in _found(host, match)})
    match gpus:
        case [address] if address in host.by_address:
            return host.by_address[address]
        case []:
            way_out = f"seen: {_seen(host)}: switch it on, or name it as `phyllome-seat scan` does"
            raise AssignmentError((f"{_in_words(match)} is on no GPU; {way_out}",))
    places = " and ".join(map(str, gpus))
    raise AssignmentError((f"{_in_words(match)} is on {places}: say which by `gpu:`",))


def _check_monitor(host: Host, gpu: PciDevice, match: MonitorMatch) -> None:
    """Raise where the host sees the monitors of `gpu`, and the one of `match` is none of them."""
    has_connectors = any(connector.gpu == gpu.address for connector in host.connectors)
    on = _found(host, match)
    if not has_connectors or any(connector.gpu == gpu.address for connector in on):
        return
    if on:
        other = host.by_address.get(on[0].gpu)
        place = label(other) if other else str(on[0].gpu)
        way_out = f"it is on {place}, {on[0].name}: plug it over, or name that GPU"
    else:
        way_out = f"seen: {_seen(host)}: switch it on, or name it as `phyllome-seat scan` does"
    raise AssignmentError((f"{label(gpu)} does not show {_in_words(match)}; {way_out}",))
