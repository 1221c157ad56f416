"""What one seat names, found on this Host: before anything is compared with other seats."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import Host, PciDevice, UsbDevice
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.match import (
    find_companions,
    find_controller,
    find_gpu,
    gpu_functions,
    label,
    monitors_on,
)
from phyllome_seat.model.match_usb import find_devices, find_ports
from phyllome_seat.model.seat import DeviceMatch, PciMatch, PortMatch, Seat
from phyllome_seat.model.value import dataclass

P = ParamSpec("P")
T = TypeVar("T")


class Refusals:
    """All sentences that say why a wish does not fit, each with its place in the seat file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.sentences: list[str] = []

    def add(self, sentence: str, line: int = 0) -> None:
        """Note one; line 0 is a wish that no file says."""
        self.sentences.append(f"{sentence} ({self.file}:{line})" if line else sentence)

    def collect(
        self, line: int, find: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Return what `find` returns, or None after noting its AssignmentError."""
        try:
            return find(*args, **kwargs)
        except AssignmentError as error:
            for sentence in error.conflicts:
                self.add(sentence, line)
            return None


@dataclass(frozen=True, slots=True)
class Claim:
    """What one seat is to get. The values of ``functions`` and ``ports`` are lines of the file.

    ``devices`` are those plugged in now, by identity. ``is_whole`` says that all was found.
    """

    seat: Seat
    functions: dict[PciAddress, int]
    ports: dict[UsbPort, int]
    devices: tuple[tuple[DeviceMatch, UsbDevice], ...]
    monitors: tuple[Monitor, ...]
    notes: tuple[str, ...]
    is_whole: bool

    @property
    def all_ports(self) -> tuple[UsbPort, ...]:
        """Return the USB places it takes: its ports, and where its devices are now."""
        places = (device.port for _, device in self.devices if not device.remembered)
        return (*self.ports, *(port for port in places if port))


def find_claim(host: Host, seat: Seat, refusals: Refusals, *, plugged: bool = True) -> Claim:
    """Return what `seat` names on `host`; what is not found is noted and left out.

    With `plugged` false, nothing is said or found that depends on which USB devices are plugged in.
    """
    known = len(refusals.sentences)
    functions: dict[PciAddress, int] = {}
    notes: list[str] = []
    monitors = _claim_gpu(host, seat, refusals, functions, notes)
    _claim_controllers(host, seat, refusals, functions, notes)
    ports = _claim_ports(host, seat, refusals, functions, notes)
    devices = _claim_devices(host, seat, refusals, notes) if plugged else ()
    return Claim(
        seat,
        functions,
        ports,
        devices,
        monitors,
        tuple(notes),
        is_whole=len(refusals.sentences) == known,
    )


def _claim_gpu(
    host: Host,
    seat: Seat,
    refusals: Refusals,
    functions: dict[PciAddress, int],
    notes: list[str],
) -> tuple[Monitor, ...]:
    line = (seat.gpu or seat.monitor or seat).line
    gpu = refusals.collect(line, find_gpu, host, seat)
    if gpu is None:
        return ()
    if gpu.vfs:
        # vfio-pci answers -EBUSY: vfio_pci_core_register_device() in vfio_pci_core.c.
        way_out = f"turn them off (echo 0 > /sys/bus/pci/devices/{gpu.address}/sriov_numvfs)"
        refusals.add(f"{label(gpu)} has {gpu.vfs} virtual functions on: {way_out}", line)
    for device in gpu_functions(host, gpu):
        functions[device.address] = line
        if device != gpu:
            notes.append(f"{label(device)} comes with {gpu.address}: one graphics card")
    return monitors_on(host, gpu)


def _claim_controllers(
    host: Host,
    seat: Seat,
    refusals: Refusals,
    functions: dict[PciAddress, int],
    notes: list[str],
) -> None:
    controllers: list[tuple[PciDevice, int]] = []
    for match in seat.usb:
        if isinstance(match, PciMatch):
            device = refusals.collect(match.line, find_controller, host, match)
            if device:
                controllers.append((device, match.line))
                functions.setdefault(device.address, match.line)
    for controller, line in controllers:
        for device in find_companions(host, controller, tuple(functions)):
            functions[device.address] = line
            group = f"they share IOMMU group {controller.iommu_group}"
            notes.append(f"{label(device)} comes with {controller.address}: {group}")


def _claim_ports(
    host: Host,
    seat: Seat,
    refusals: Refusals,
    functions: dict[PciAddress, int],
    notes: list[str],
) -> dict[UsbPort, int]:
    ports: dict[UsbPort, int] = {}
    for match in seat.usb:
        if not isinstance(match, PortMatch):
            continue
        if match.controller in functions:
            notes.append(f"{match.controller}: its ports come with it, the whole controller")
            continue
        found = refusals.collect(match.line, find_ports, host, match)
        ports.update({port: match.line for port in found or () if port not in ports})
    return ports


def _claim_devices(
    host: Host, seat: Seat, refusals: Refusals, notes: list[str]
) -> tuple[tuple[DeviceMatch, UsbDevice], ...]:
    devices: list[tuple[DeviceMatch, UsbDevice]] = []
    for match in seat.usb:
        if isinstance(match, DeviceMatch):
            found = refusals.collect(match.line, find_devices, host, match)
            devices += [(match, device) for device in found or ()]
            if found == ():
                serial = f" (serial {match.serial})" if match.serial else ""
                notes.append(f"{match.id}{serial} is not plugged in now; it goes here when it is")
    return tuple(devices)
