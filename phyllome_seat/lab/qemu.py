"""Description → QEMU's arguments. Nothing here touches the machine.

Buses are numbered by firmware in the order of root ports, so what sits in front moves the bus
numbers of all behind it: disks come first, as on boards whose storage hangs on the processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from phyllome_seat.lab.description import (
    Card,
    CardModel,
    Description,
    Disk,
    DiskModel,
    Place,
    PlaceKind,
    UsbKind,
    UsbThing,
)
from phyllome_seat.lab.errors import DescriptionError

# First and last slot on the root bus for each kind of part; 0x1f is q35's own chipset.
_SLOTS = {
    "disk": (0x02, 0x05),
    "nic": (0x06, 0x07),
    "usb": (0x08, 0x0F),
    "card": (0x10, 0x18),
    "joint": (0x19, 0x1C),  # shared root ports and switches
}
_AGENT_SLOT, _RANDOM_SLOT = 0x1E, 0x1D
SYSTEM_DISK = "system"
VARIABLES = "variables"

_USB_DRIVERS = {
    UsbKind.KEYBOARD: "usb-kbd",
    UsbKind.MOUSE: "usb-mouse",
    UsbKind.TABLET: "usb-tablet",
    UsbKind.HUB: "usb-hub",
    UsbKind.STORAGE: "usb-storage",
    UsbKind.SERIAL: "usb-serial",
}
_DISK_DRIVERS = {
    DiskModel.VIRTIO: "virtio-blk-pci",
    DiskModel.NVME: "nvme",
    DiskModel.AHCI: "ide-hd",
}


@dataclass(frozen=True, slots=True)
class DirectBoot:
    """Kernel and initramfs handed in by QEMU: quick, and says nothing about booting."""

    kernel: Path
    initrd: Path
    command_line: str


@dataclass(frozen=True, slots=True)
class FirmwareBoot:
    """UEFI from these firmware images, then whatever boot loader the disk holds."""

    code: Path
    variables: Path  # qcow2, as all that is written must be for a snapshot


@dataclass(slots=True)
class _Slots:
    """Hands out places on the root bus, and makes the ports and switches that a place needs."""

    arguments: list[str] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    joints: dict[str, int] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)

    def next(self, region: str) -> int:
        first, last = _SLOTS[region]
        slot = first + self.used.get(region, 0)
        if slot > last:
            raise DescriptionError("pc", region, f"at most {last - first + 1} of a kind fit")
        self.used[region] = self.used.get(region, 0) + 1
        return slot

    def take(self, part: str, region: str, place: Place) -> tuple[str, str]:
        """Returns ``bus=…`` and the device number for a part, adding ports before it."""
        match place.kind:
            case PlaceKind.BUS:
                return "pcie.0", f"{self.next(region):#x}"
            case PlaceKind.OWN:
                self._port(f"{part}-port", self.next(region), 0)
                return f"{part}-port", "0x0"
            case PlaceKind.SHARED:
                slot, member = self._join(place)
                # Functions of one device without ACS can talk behind the IOMMU's back, so the
                # kernel puts them and all behind them in one group (pci_device_group()). QEMU's
                # model of Intel's port has none (hw/pci-bridge/ioh3420.c); its own always has,
                # since `disable-acs` is gone (11.1).
                self._port(f"{part}-port", slot, member, "ioh3420")
            case PlaceKind.SWITCH:
                slot, member = self._join(place)
                up = f"{place.name}-up"
                if member == 0:
                    self._port(f"{place.name}-port", slot, 0)
                    self._device("x3130-upstream", f"id={up}", f"bus={place.name}-port")
                self._device(
                    "xio3130-downstream",
                    f"id={part}-port",
                    f"bus={up}",
                    f"chassis={slot + 64}",
                    f"slot={member}",
                )
        return f"{part}-port", "0x0"

    def _join(self, place: Place) -> tuple[int, int]:
        if place.name not in self.joints:
            self.joints[place.name] = self.next("joint")
        member = self.members.get(place.name, 0)
        self.members[place.name] = member + 1
        if place.kind is PlaceKind.SHARED and member > 7:
            raise DescriptionError("pc", place.name, "at most 8 parts share one root port")
        return self.joints[place.name], member

    def _port(self, port: str, slot: int, function: int, driver: str = "pcie-root-port") -> None:
        self._device(
            driver,
            f"id={port}",
            "bus=pcie.0",
            f"addr={slot:#x}.{function}",
            "multifunction=on",
            f"chassis={slot * 8 + function}",
            f"slot={slot}",
        )

    def _device(self, driver: str, *properties: str) -> None:
        self.arguments += ["-device", ",".join((driver, *properties))]


def arguments(
    pc: Description,
    boot: DirectBoot | FirmwareBoot,
    acceleration: str,
    *,
    disks: Path,
    sockets: Path,
) -> tuple[str, ...]:
    """Returns what follows `qemu-system-x86_64`; ``disks`` and ``sockets`` are directories."""
    return (
        *("-nodefaults", "-no-user-config", "-display", "none", "-name", "phyllome-seat-lab"),
        *("-action", "reboot=shutdown"),
        *_machine(pc, boot, acceleration),
        *_drives(pc, disks),
        *_sockets(sockets),
        *_parts(pc),
    )


def disk_files(pc: Description) -> tuple[tuple[str, int], ...]:
    """Returns every disk beside the system's as (id, size in MiB), USB sticks among them."""
    sticks = (
        (thing.id, 64)
        for controller in pc.usb
        for thing in controller.plugged
        if thing.kind is UsbKind.STORAGE
    )
    return (*((disk.id, disk.size_mib) for disk in pc.disks), *sticks)


def unmigratable(pc: Description) -> tuple[str, ...]:
    """Returns the parts whose state QEMU cannot keep, so that no snapshot holds this PC.

    hw/nvme/ctrl.c and hw/usb/dev-serial.c say ``unmigratable``; hw/display/ati.c saves nothing.
    """
    return (
        *(SYSTEM_DISK for _ in (0,) if pc.system_disk is DiskModel.NVME),
        *(disk.id for disk in pc.disks if disk.model is DiskModel.NVME),
        *(card.id for card in pc.cards if card.model is CardModel.ATI),
        *(
            thing.id
            for controller in pc.usb
            for thing in controller.plugged
            if thing.kind is UsbKind.SERIAL
        ),
    )


def usb_in_order(pc: Description) -> tuple[tuple[str, UsbThing], ...]:
    """Returns (controller's id, thing) for all that is plugged, hubs before what is behind them."""
    things = [(each.id, thing) for each in pc.usb for thing in each.plugged]
    return tuple(sorted(things, key=lambda pair: pair[1].port.count(".")))


def usb_properties(pc: Description, controller: str, thing: UsbThing) -> dict[str, str]:
    """Returns the properties of a USB device, for `-device` and for QMP `device_add` alike."""
    properties = {
        "driver": "usb-redir" if thing.kind.served else _USB_DRIVERS[thing.kind],
        "id": thing.id,
        "bus": f"{controller}.0",
        "port": thing.port,
    }
    if thing.kind.served:
        properties["chardev"] = served_chardev(thing.id)
    elif thing.serial is not None:
        properties["serial"] = thing.serial
    if thing.kind in (UsbKind.KEYBOARD, UsbKind.TABLET) and (thing.card or pc.cards):
        properties["display"] = thing.card or pc.host_card or pc.cards[0].id
    if thing.kind is UsbKind.STORAGE:
        properties["drive"] = thing.id
    if thing.kind is UsbKind.SERIAL:
        properties["chardev"] = "nowhere"  # open, as `null` is not: usb-serial shows itself then
    return properties


def served_chardev(thing_id: str) -> str:
    """Returns QEMU's name of its connection with a device that this process plays."""
    return f"{thing_id}-served"


def blockdev(node: str, file: Path) -> str:
    """Returns one `-blockdev`: a qcow2 whose writes need not survive this machine's power."""
    return (
        f"driver=qcow2,node-name={node},file.driver=file,file.filename={file},"
        "cache.no-flush=on,file.cache.no-flush=on,discard=unmap"
    )


def _machine(pc: Description, boot: DirectBoot | FirmwareBoot, acceleration: str) -> Iterator[str]:
    # An emulated IOMMU that maps interrupts needs half of the interrupt controller in QEMU.
    machine = f"q35,kernel-irqchip=split,i8042={'on' if pc.ps2 else 'off'}"
    if isinstance(boot, FirmwareBoot):
        machine += f",pflash0=firmware,pflash1={VARIABLES}"
        yield from (
            "-blockdev",
            f"driver=file,node-name=firmware,read-only=on,filename={boot.code}",
        )
        yield from ("-blockdev", blockdev(VARIABLES, boot.variables))
    else:
        yield from ("-kernel", str(boot.kernel), "-initrd", str(boot.initrd))
        yield from ("-append", boot.command_line)
    yield from ("-machine", machine, "-cpu", "max" if acceleration == "tcg" else "host")
    yield from ("-accel", "tcg,thread=multi" if acceleration == "tcg" else acceleration)
    yield from ("-smp", str(pc.cpus), "-m", str(pc.memory_mib))
    yield from ("-device", "intel-iommu,intremap=on,caching-mode=on")


def _drives(pc: Description, directory: Path) -> Iterator[str]:
    for name in (SYSTEM_DISK, *(disk for disk, _ in disk_files(pc))):
        yield from ("-blockdev", blockdev(name, directory / f"{name}.qcow2"))


def _sockets(directory: Path) -> Iterator[str]:
    def socket(name: str) -> str:
        return f"socket,id={name},path={directory / name}.sock,server=on,wait=off"

    yield from ("-chardev", socket("qmp"), "-mon", "chardev=qmp,mode=control")
    yield from ("-chardev", f"file,id=console,path={directory / 'serial.log'},append=on")
    yield from ("-serial", "chardev:console")
    yield from ("-chardev", socket("shell"), "-serial", "chardev:shell")
    yield from ("-chardev", socket("agent"), "-chardev", "file,id=nowhere,path=/dev/null")
    yield from ("-device", f"virtio-serial-pci,bus=pcie.0,addr={_AGENT_SLOT:#x}")
    yield from ("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
    yield from ("-device", f"virtio-rng-pci,bus=pcie.0,addr={_RANDOM_SLOT:#x}")
    yield from ("-audiodev", "none,id=silence")


def _parts(pc: Description) -> Iterator[str]:
    slots = _Slots()
    for disk in (Disk(SYSTEM_DISK, pc.system_disk), *pc.disks):
        _add_disk(slots, disk)
    for number, nic in enumerate(pc.nics):
        bus, address = slots.take(nic.id, "nic", nic.place)
        # Only what the first says about routes is believed: it alone has a router.
        slots.arguments += [
            "-netdev",
            f"user,id={nic.id}-net,restrict={'off' if not number else 'on'}",
        ]
        slots.arguments += [
            "-device",
            f"{nic.model},id={nic.id},netdev={nic.id}-net,romfile=,bus={bus},addr={address}",
        ]
    for card in pc.cards:
        _add_card(slots, card)
    for controller in pc.usb:
        bus, address = slots.take(controller.id, "usb", controller.place)
        ports = f"p2={controller.ports},p3={controller.ports}"
        slots.arguments += [
            "-device",
            f"qemu-xhci,id={controller.id},{ports},bus={bus},addr={address}",
        ]
    for controller_id, thing in usb_in_order(pc):
        slots.arguments += ["-device", _joined(usb_properties(pc, controller_id, thing))]
    yield from slots.arguments


def _add_disk(slots: _Slots, disk: Disk) -> None:
    driver = _DISK_DRIVERS[disk.model]
    device = f"{driver},id={disk.id},drive={disk.id},serial={disk.id}"
    if disk.model is not DiskModel.AHCI:
        bus, address = slots.take(disk.id, "disk", disk.place)
        device += f",bus={bus},addr={address}"
    slots.arguments += ["-device", device]


def _add_card(slots: _Slots, card: Card) -> None:
    bus, slot = slots.take(card.id, "card", card.place)
    device = f"{card.model},id={card.id},bus={bus},addr={slot}.0"
    if card.model is not CardModel.ATI:
        device += ",edid=on"
        if card.screen is not None:
            device += f",xres={card.screen.width},yres={card.screen.height}"
    if card.model is CardModel.VIRTIO:
        # Handed to a guest, its memory is the guest's: it must go through the IOMMU.
        device += ",iommu_platform=on,ats=on"
    if card.sound:
        device += ",multifunction=on"
    slots.arguments += ["-device", device]
    if card.sound:
        sound = f"{card.id}-sound"
        slots.arguments += ["-device", f"intel-hda,id={sound},bus={bus},addr={slot}.1"]
        slots.arguments += ["-device", f"hda-output,audiodev=silence,bus={sound}.0"]


def _joined(properties: dict[str, str]) -> str:
    # QEMU's option syntax doubles a comma that belongs to a value.
    pairs = (f"{key}={value.replace(',', ',,')}" for key, value in properties.items())
    return ",".join(pairs).removeprefix("driver=")
