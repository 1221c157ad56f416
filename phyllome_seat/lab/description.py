"""A PC as a person describes it: cards, monitors, USB trees, disks, networks."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Self


class CardModel(enum.StrEnum):
    """A graphics card, by QEMU's name of it; each line says what the PC sees."""

    SECONDARY_VGA = "secondary-vga"  # 1234:1111, class 0380, bochs-drm
    VGA = "VGA"  # 1234:1111, class 0300: the only one firmware and the boot console draw on
    VIRTIO = "virtio-gpu-pci"  # 1af4:1050, class 0380, virtio_gpu
    BOCHS = "bochs-display"  # 1234:1111, class 0380, no legacy ports
    ATI = "ati-vga"  # 1002:5046, class 0300, radeonfb or no driver


class UsbKind(enum.StrEnum):
    """What can be plugged into a USB port."""

    KEYBOARD = "keyboard"
    MOUSE = "mouse"
    TABLET = "tablet"
    HUB = "hub"
    STORAGE = "storage"
    SERIAL = "serial"
    # What QEMU does not have: models of our own, only in a PC that runs (docs/lab.md).
    GAMEPAD = "gamepad"
    CHANGING = "changing"  # another vendor:product when told
    RESETTING = "resetting"  # goes and comes back by itself when told
    SUPERSPEED = "superspeed"
    HOSTILE = "hostile"  # its name and serial are an attack
    MODEM = "modem"  # storage until it is ejected

    @property
    def served(self) -> bool:
        """Whether this process plays the device, so that no snapshot can hold it."""
        return self in (
            *(UsbKind.GAMEPAD, UsbKind.CHANGING, UsbKind.RESETTING),
            *(UsbKind.SUPERSPEED, UsbKind.HOSTILE, UsbKind.MODEM),
        )


class DiskModel(enum.StrEnum):
    """How a disk is attached."""

    VIRTIO = "virtio"
    NVME = "nvme"
    AHCI = "ahci"  # the chipset's own controller, 0000:00:1f.2


class PlaceKind(enum.StrEnum):
    """Where on PCI a device sits, which decides its IOMMU group."""

    OWN = "own"  # behind a root port of its own, so in a group of its own
    BUS = "bus"  # on the root bus
    SHARED = "shared"  # behind one function of a root port without ACS: one group for all of a name
    SWITCH = "switch"  # behind a downstream port of the switch of that name


@dataclass(frozen=True, slots=True)
class Place:
    """A place on PCI; ``name`` joins those that share a root port or a switch."""

    kind: PlaceKind = PlaceKind.OWN
    name: str = ""


@dataclass(frozen=True, slots=True)
class Screen:
    """A monitor on a card's one connector, as its EDID will say."""

    name: str
    serial: str = ""
    maker: str = "PHY"  # three capital letters (EDID's PNP id)
    product: int = 1
    width: int = 1024
    height: int = 768


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card, with ``sound`` as its function 1 when it has one."""

    id: str
    model: CardModel = CardModel.SECONDARY_VGA
    sound: bool = False
    screen: Screen | None = None
    place: Place = Place()


@dataclass(frozen=True, slots=True)
class UsbThing:
    """Something plugged into a USB port.

    ``port`` is the chain as USB counts, dotted behind a hub ("2.1"). ``serial`` None leaves QEMU's
    own, which holds the port; "" is a serial string that is empty. ``card`` is the card by which
    events are sent to a keyboard or tablet: QEMU routes input by display.
    """

    id: str
    kind: UsbKind
    port: str
    serial: str | None = None
    card: str = ""


@dataclass(frozen=True, slots=True)
class UsbController:
    """A USB controller (xHCI) with ``ports`` sockets, each with both speeds."""

    id: str
    ports: int = 4
    place: Place = Place()
    plugged: tuple[UsbThing, ...] = ()


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk beside the system's own."""

    id: str
    model: DiskModel = DiskModel.VIRTIO
    size_mib: int = 64
    place: Place = Place()


@dataclass(frozen=True, slots=True)
class Nic:
    """A network card; the first carries the default route."""

    id: str
    model: str = "virtio-net-pci"
    place: Place = Place()


@dataclass(frozen=True, slots=True)
class Description:
    """A whole PC. ``host_card`` is the id of the card that stays the host's, "" for none."""

    cards: tuple[Card, ...] = ()
    usb: tuple[UsbController, ...] = ()
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = (Nic("lan"),)
    host_card: str = ""
    system_disk: DiskModel = DiskModel.VIRTIO
    cpus: int = 2
    memory_mib: int = 4096
    ps2: bool = False  # a PS/2 keyboard and mouse, which are always the host's

    def card(self, card_id: str) -> Card:
        """Returns the card of that id; KeyError otherwise."""
        return {card.id: card for card in self.cards}[card_id]

    def thing(self, thing_id: str) -> tuple[UsbController, UsbThing]:
        """Returns what is plugged, and the controller it hangs on; KeyError otherwise."""
        return {
            thing.id: (controller, thing) for controller in self.usb for thing in controller.plugged
        }[thing_id]

    def with_disk(self, disk: Disk) -> Self:
        """Returns the same PC with one more disk, which moves every later bus number."""
        return replace(self, disks=(*self.disks, disk))
