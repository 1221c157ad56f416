"""Every text of a `Host`, found by walking the value, so that no field is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, get_args, get_type_hints

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import BeforeBind, Host, Hostdev, OurFile, Pending
from phyllome_seat.model.platform import (
    Bar,
    BootFramebuffer,
    Node,
    Platform,
    Setting,
)
from phyllome_seat.model.value import find_defaults, is_value
from tests.model.hosts import LEFT_GPU, RIGHT_GPU, RIGHT_USB, address, two_seat_pc

Place = tuple[str, str]  # a class and its field: ("UsbDevice", "serial")

_NUMBERS = (PciAddress, PciId, UsbId, UsbPort)  # read by their own ``parse``: no text gets in


def map_texts(value: Any, change: Callable[[Place, str], str], place: Place = ("", "")) -> Any:
    """Return a value with every text in it changed by `change`, which is told where it stands."""
    if type(value) is str:
        return change(place, value)
    if type(value) is tuple:
        return tuple(map_texts(item, change, place) for item in value)
    if is_value(type(value)) and type(value) not in _NUMBERS:
        name = type(value).__name__
        return replace(
            value,
            **{
                field: map_texts(getattr(value, field), change, (name, field))
                for field in find_defaults(type(value))
            },
        )
    return value


def list_places(kind: Any = Host) -> frozenset[Place]:
    """Return every place of a `Host` where a text can be, by the annotations."""
    return frozenset(_places(kind))


def _places(kind: Any) -> Iterator[Place]:
    if kind in _NUMBERS:
        return
    if not is_value(kind):
        for argument in get_args(kind):
            yield from _places(argument)
        return
    for field, hint in get_type_hints(kind).items():
        place = (kind.__name__, field)
        if _has_text(hint):
            yield place
        yield from _places(hint)


def _has_text(hint: Any) -> bool:
    return hint is str or any(map(_has_text, get_args(hint)))


@cache
def full_pc() -> Host:
    """Return `two_seat_pc` with a text in every field that can have one."""
    pc = two_seat_pc()
    left, right = address(LEFT_GPU), address(RIGHT_GPU)
    return replace(
        pc,
        pci=tuple(
            replace(d, vendor_name="Maker", reset_methods=("flr", "bus"), override=None)
            if d.address != address(RIGHT_USB)
            else replace(d, driver="vfio-pci", override="vfio-pci")
            for d in pc.pci
        ),
        usb=tuple(replace(d, serial=f"S{n}", manufacturer="Maker") for n, d in enumerate(pc.usb)),
        inputs=tuple(
            replace(d, phys="usb-0000:00:14.0-1/input0", uniq=f"U{n}", seat="seat0")
            for n, d in enumerate(pc.inputs)
        ),
        cpus=tuple(replace(c, kind="core") for c in pc.cpus),
        connectors=tuple(
            replace(c, monitor=replace(c.monitor, serial=f"M{n}", warnings=("odd",)))
            if c.monitor
            else c
            for n, c in enumerate(pc.connectors)
        ),
        blocks=tuple(
            replace(b, label=f"L{n}", partition_uuid=f"P{n}", kind="LVM")
            for n, b in enumerate(pc.blocks)
        ),
        networks=tuple(replace(n, below=("eth1",)) for n in pc.networks),
        console=replace(
            pc.console, serial=("ttyS0",), sessions=("seat0: someone on tty2", "ssh: me on pts")
        ),
        guests=tuple(
            replace(
                g,
                seat="left",
                hostdevs=(Hostdev(pci=left, alias="ua-phyllome-left-pci-1"),),
                run="3_b007",
                gone=("/var/lib/libvirt/images/left.qcow2",),
            )
            for g in pc.guests or ()
        ),
        before=(
            BeforeBind(address(RIGHT_USB), PciId.parse("1b73:1100"), "xhci_hcd", "none", "right"),
        ),
        pending=(Pending(right, "amdgpu", 7, holders=("pid 812 (wireplumber)",)),),
        files=(OurFile("/etc/udev/rules.d/72-phyllome-seat.rules", "# phyllome-seat\n"),),
        kept_guests=("6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a01",),
        platform=Platform(
            os="debian",
            os_like=("debian",),
            boot="grub",
            cmdline="quiet intel_iommu=on",
            kernel="6.12.1",
            cpu_vendor="GenuineIntel",
            cpu_flags=("vmx",),
            kvm=True,
            modules=("vfio", "vfio_iommu_type1", "vfio_pci"),
            builtin=("vfio",),
            remaps_interrupts=True,
            programs=("/usr/sbin/libvirtd",),
            settings=(Setting("/etc/modules", 3, "vfio_virqfd"),),
            boot_lines=(Setting("/etc/default/grub", 3, 'GRUB_CMDLINE_LINUX="quiet"'),),
            initramfs="dracut",
            nodes=(Node("/dev/kvm", 0o660, 5),),
            daemons=("libvirtd",),
            listening=("libvirt-sock",),
            masked=("libvirtd.service",),
            security=("apparmor",),
            booleans_off=("virt_use_sysfs",),
            framebuffers=(BootFramebuffer(left, "efifb"),),
            bars=(Bar(left, 0, 2**28, 2**34),),
        ),
    )
