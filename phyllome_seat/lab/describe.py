"""PC descriptions as YAML: text → Description, each refusal with the file and the key."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

from phyllome_seat.lab.description import (
    Card,
    CardModel,
    Description,
    Disk,
    DiskModel,
    Nic,
    Place,
    PlaceKind,
    Screen,
    UsbController,
    UsbKind,
    UsbThing,
)
from phyllome_seat.lab.errors import DescriptionError

_Kind = TypeVar("_Kind", bound=enum.StrEnum)
_Part = TypeVar("_Part")
_ID = re.compile(r"[a-z][a-z0-9-]{0,30}")
_SIZE = re.compile(r"(\d+) ?(MiB|GiB)")
_RESOLUTION = re.compile(r"(\d{3,4})x(\d{3,4})")
_PORT = re.compile(r"\d+(\.\d+){0,4}")  # USB allows five hubs in a chain; QEMU takes the same


def read_description(path: Path) -> Description:
    """Returns the PC that a file describes; DescriptionError says what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(str(path), "", f"cannot be read: {error}") from error
    return parse_description(text, str(path))


def parse_thing(text: str) -> UsbThing:
    """Returns one plugged thing from YAML such as `{id: stick, kind: storage, port: "3"}`."""
    section = _Section("plug", "", _load("plug", text))
    thing = _thing(section)
    section.done()
    return thing


def parse_description(text: str, file: str = "pc.yaml") -> Description:
    """Returns the PC that a text describes."""
    description = _Section(file, "", _load(file, text)).description()
    _check_whole(file, description)
    return description


def _load(file: str, text: str) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DescriptionError(file, "", f"is not YAML: {error}") from error


class _Section:
    """A mapping of the file, with the path to it; every key asked for is taken out."""

    def __init__(self, file: str, path: str, value: object) -> None:
        self.file = file
        self.path = path
        if not isinstance(value, Mapping):
            raise DescriptionError(file, path, f"expected keys and values, got {value!r}")
        self.left = dict(cast("Mapping[str, object]", value))
        self.known: list[str] = []

    def refuse(self, key: str, expected: str) -> DescriptionError:
        """Returns the error for one key of this section."""
        return DescriptionError(self.file, f"{self.path}.{key}".lstrip("."), expected)

    def done(self) -> None:
        """Refuses keys that nobody asked for."""
        for key in self.left:
            raise self.refuse(str(key), f"not known here; known are {', '.join(self.known)}")

    def take(self, key: str, default: object = None) -> object:
        """Returns the value of a key, or the default."""
        self.known.append(key)
        return self.left.pop(key, default)

    def text(self, key: str, default: str | None = None) -> str:
        """Returns a text."""
        value = self.take(key, default)
        if not isinstance(value, str):
            raise self.refuse(key, f"expected a text, got {value!r}")
        return value

    def id(self) -> str:
        """Returns this section's id."""
        value = self.text("id", "")
        if not _ID.fullmatch(value):
            raise self.refuse("id", f"expected a name like `left-keyboard`, got {value!r}")
        return value

    def number(self, key: str, default: int, low: int, high: int) -> int:
        """Returns a whole number within bounds."""
        value = self.take(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(key, f"expected a number from {low} to {high}, got {value!r}")
        return value

    def flag(self, key: str) -> bool:
        """Returns true or false; false when absent."""
        value = self.take(key, False)
        if not isinstance(value, bool):
            raise self.refuse(key, f"expected true or false, got {value!r}")
        return value

    def kind(self, key: str, kinds: type[_Kind], default: _Kind | None = None) -> _Kind:
        """Returns one of a list of words."""
        value = self.take(key, default)
        try:
            return kinds(cast("str", value))
        except ValueError:
            raise self.refuse(key, f"expected one of {', '.join(kinds)}, got {value!r}") from None

    def mib(self, key: str, default: str) -> int:
        """Returns a size such as 4GiB, in MiB."""
        value = self.take(key, default)
        match = _SIZE.fullmatch(str(value))
        if match is None:
            raise self.refuse(key, f"expected a size like 4GiB or 64MiB, got {value!r}")
        return int(match[1]) * (1024 if match[2] == "GiB" else 1)

    def parts(self, key: str, make: Callable[[_Section], _Part]) -> tuple[_Part, ...]:
        """Returns a list of sections, each made into something and checked for unknown keys."""
        values = self.take(key, ())
        if not isinstance(values, list | tuple):
            raise self.refuse(key, f"expected a list, got {values!r}")
        made = []
        for index, value in enumerate(values):
            section = _Section(self.file, f"{self.path}.{key}[{index}]".lstrip("."), value)
            made.append(make(section))
            section.done()
        return tuple(made)

    def place(self) -> Place:
        """Returns where on PCI this sits: `own`, `bus`, `shared NAME` or `switch NAME`."""
        words = self.text("place", "own").split()
        named = {PlaceKind.SHARED, PlaceKind.SWITCH}
        try:
            place = Place(PlaceKind(words[0]), words[1] if len(words) > 1 else "")
        except (ValueError, IndexError):
            place = None
        if place is None or len(words) > 2 or bool(place.name) != (place.kind in named):
            raise self.refuse("place", "expected own, bus, shared NAME or switch NAME")
        return place

    def description(self) -> Description:
        """Returns this section as a whole PC."""
        if self.take("version") != 1:
            raise self.refuse("version", "expected `version: 1`")
        description = Description(
            cards=self.parts("cards", _card),
            usb=self.parts("usb", _controller),
            disks=self.parts("disks", _disk),
            nics=self.parts("nics", _nic),
            host_card=self.text("host-card", ""),
            system_disk=self.kind("system-disk", DiskModel, DiskModel.VIRTIO),
            cpus=self.number("cpus", 2, 1, 64),
            memory_mib=self.mib("memory", "4GiB"),
            ps2=self.flag("ps2"),
        )
        self.done()
        return description


def _card(section: _Section) -> Card:
    screen = section.take("monitor")
    return Card(
        id=section.id(),
        model=section.kind("model", CardModel, CardModel.SECONDARY_VGA),
        sound=section.flag("sound"),
        screen=None
        if screen is None
        else _screen(_Section(section.file, section.path + ".monitor", screen)),
        place=section.place(),
    )


def _screen(section: _Section) -> Screen:
    resolution = _RESOLUTION.fullmatch(section.text("resolution", "1024x768"))
    if resolution is None:
        raise section.refuse("resolution", "expected one like 1280x800")
    screen = Screen(
        name=section.text("name"),
        serial=section.text("serial", ""),
        maker=section.text("maker", "PHY"),
        product=section.number("product", 1, 0, 0xFFFF),
        width=int(resolution[1]),
        height=int(resolution[2]),
    )
    for key, value in (("name", screen.name), ("serial", screen.serial)):
        # One EDID descriptor holds 13 bytes.
        if len(value) > 13 or not value.isascii() or not value.isprintable():
            raise section.refuse(key, f"expected up to 13 plain characters, got {value!r}")
    if not re.fullmatch("[A-Z]{3}", screen.maker):
        raise section.refuse("maker", f"expected three capital letters, got {screen.maker!r}")
    section.done()
    return screen


def _controller(section: _Section) -> UsbController:
    return UsbController(
        id=section.id(),
        ports=section.number("ports", 4, 1, 15),
        place=section.place(),
        plugged=section.parts("plugged", _thing),
    )


def _thing(section: _Section) -> UsbThing:
    serial = section.take("serial")
    port = str(section.take("port", ""))
    if not _PORT.fullmatch(port):
        raise section.refuse("port", f'expected a port like "2", or "2.1" behind a hub: {port!r}')
    if not isinstance(serial, str | None):
        raise section.refuse("serial", f"expected a text in quotes, got {serial!r}")
    return UsbThing(
        id=section.id(),
        kind=section.kind("kind", UsbKind),
        port=port,
        serial=serial,
        card=section.text("card", ""),
    )


def _disk(section: _Section) -> Disk:
    return Disk(
        id=section.id(),
        model=section.kind("model", DiskModel, DiskModel.VIRTIO),
        size_mib=section.mib("size", "64MiB"),
        place=section.place(),
    )


def _nic(section: _Section) -> Nic:
    return Nic(section.id(), section.text("model", "virtio-net-pci"), section.place())


def _check_whole(file: str, pc: Description) -> None:
    """Refuses ids that repeat, and cards that are named and not there."""
    things = [thing for controller in pc.usb for thing in controller.plugged]
    ids = [card.id for card in pc.cards] + [each.id for each in pc.usb] + [d.id for d in pc.disks]
    ids += [nic.id for nic in pc.nics] + [thing.id for thing in things]
    for name in ids:
        if ids.count(name) > 1:
            raise DescriptionError(file, name, "is the id of more than one part")
    cards = [card.id for card in pc.cards]
    wanted = [("host-card", pc.host_card)] + [(f"{thing.id}.card", thing.card) for thing in things]
    for key, card in wanted:
        if card and card not in cards:
            raise DescriptionError(file, key, f"no card {card!r}; there are {', '.join(cards)}")
    for controller in pc.usb:
        _check_ports(file, controller)


def _check_ports(file: str, controller: UsbController) -> None:
    """Refuses ports that do not exist, are taken, or are behind something that is no hub."""
    hubs = {thing.port for thing in controller.plugged if thing.kind is UsbKind.HUB}
    seen: set[str] = set()
    for thing in controller.plugged:
        if thing.kind.served:
            raise DescriptionError(
                file,
                thing.id,
                f"a {thing.kind} device is in no snapshot",
                hint=f"plug it into the PC that runs: phyllome-seat lab plug {controller.id} ...",
            )
        parent = thing.port.rpartition(".")[0]
        if thing.port in seen:
            raise DescriptionError(file, thing.id, f"port {thing.port} is taken")
        if parent and parent not in hubs:
            raise DescriptionError(file, thing.id, f"no hub at port {parent} of {controller.id}")
        if not 1 <= int(thing.port.split(".")[0]) <= controller.ports:
            raise DescriptionError(file, thing.id, f"{controller.id} has no port {thing.port}")
        seen.add(thing.port)
