"""What hands and eyes do at a PC: plug, press, point, look."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from phyllome_seat.lab.description import Description, UsbKind, UsbThing
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.keys import strokes
from phyllome_seat.lab.layers import make_stick
from phyllome_seat.lab.machine import Machine
from phyllome_seat.lab.picture import Picture, parse_ppm
from phyllome_seat.lab.qemu import served_chardev, usb_properties
from phyllome_seat.lab.usbmodels import faces
from phyllome_seat.lab.usbserver import ServedDevice

TABLET_MAX = 0x7FFF  # INPUT_EVENT_ABS_MAX, include/ui/input.h
_BUTTONS = {"left": 1, "right": 2, "middle": 4}  # MOUSE_EVENT_*, include/ui/console.h


class Hands(ABC):
    """The half of a `Pc` that stands outside it.

    ``plugged`` is what is in a USB port now, by id: the controller's id and the thing.
    """

    description: Description
    directory: Path
    disks: Path
    plugged: dict[str, tuple[str, UsbThing]]
    served: dict[str, ServedDevice]

    @property
    @abstractmethod
    def machine(self) -> Machine:
        """QEMU; LabError while the PC is off."""

    def plug(self, thing: UsbThing, controller: str) -> None:
        """Plugs something into a port of a USB controller, or of a hub behind it."""
        if thing.kind is UsbKind.STORAGE:
            file = make_stick(self.disks, thing.id)
            self.machine.execute(
                "blockdev-add",
                driver="qcow2",
                node_name=thing.id,
                file={"driver": "file", "filename": str(file)},
            )
        if thing.kind.served:
            self._serve(thing)
        try:
            properties = usb_properties(self.description, controller, thing)
            self.machine.execute("device_add", **properties)
        except LabError:
            if thing.kind.served:
                self._serve_no_more(thing.id)
                self.machine.execute("chardev-remove", id=served_chardev(thing.id))
            raise
        self.plugged[thing.id] = (controller, thing)

    def unplug(self, thing_id: str) -> tuple[str, UsbThing]:
        """Pulls a thing out; returns its controller and itself, for plugging it again."""
        controller, thing = self._thing(thing_id)
        self.machine.unplug(thing_id)
        self._serve_no_more(thing_id)
        if thing.kind is UsbKind.STORAGE:
            self.machine.execute("blockdev-del", node_name=thing_id)
        del self.plugged[thing_id]
        return controller, thing

    def device(self, thing_id: str) -> ServedDevice:
        """Returns a device that this process plays, to press, change or reset it."""
        _, thing = self._thing(thing_id)
        if thing_id not in self.served:
            raise LabError(
                f"{thing_id}: a {thing.kind} is QEMU's own and does what QEMU lets it",
                hint="plug one of kind gamepad, changing, resetting, superspeed, hostile or modem",
            )
        return self.served[thing_id]

    def press(self, keyboard: str, *keys: str, hold_s: float = 0.03) -> None:
        """Presses keys together on one keyboard and lets go; QEMU's names: `a`, `ret`, `f1`.

        A gamepad's are `south`, `start`, ... (`usbmodels.BUTTONS`).
        """
        if keyboard in self.served:
            self.served[keyboard].press(*keys, hold_s=hold_s)
            return
        for key in keys:
            self._send(keyboard, _key(key, True))
        time.sleep(hold_s)
        for key in reversed(keys):
            self._send(keyboard, _key(key, False))

    def type(self, keyboard: str, text: str, *, pause_s: float = 0.03) -> None:
        """Types a text on one keyboard."""
        self.type_at_once({keyboard: text}, pause_s=pause_s)

    def type_at_once(self, texts: Mapping[str, str], *, pause_s: float = 0.03) -> None:
        """Types a text on each of several keyboards, a stroke here and a stroke there.

        QEMU's USB keyboard holds 16 events that the PC has not fetched and drops more
        (QUEUE_LENGTH, hw/input/hid.c): the pause is for a PC that is busy.
        """
        for number in range(max(map(len, texts.values()), default=0)):
            for keyboard, text in texts.items():
                if number < len(text):
                    self.press(keyboard, *strokes(text[number]), hold_s=pause_s)
            time.sleep(pause_s)

    def point(self, tablet: str, x: float, y: float) -> None:
        """Moves a tablet's pointer to a place on its screen, both from 0 to 1."""
        for axis, value in (("x", x), ("y", y)):
            data = {"axis": axis, "value": round(value * TABLET_MAX)}
            self._send(tablet, {"type": "abs", "data": data})

    def move(self, mouse: str, right: int, down: int) -> None:
        """Moves a relative mouse by steps."""
        self.machine.monitor(f"mouse_set {self._mouse(mouse)}")
        self.machine.monitor(f"mouse_move {right} {down}")

    def click(self, pointer: str, button: str = "left") -> None:
        """Presses and lets go a button of a tablet or mouse."""
        _, thing = self._thing(pointer)
        if thing.kind is UsbKind.MOUSE:
            self.machine.monitor(f"mouse_set {self._mouse(pointer)}")
            self.machine.monitor(f"mouse_button {_BUTTONS[button]}")
            time.sleep(0.05)
            self.machine.monitor("mouse_button 0")
            return
        for down in (True, False):
            self._send(pointer, {"type": "btn", "data": {"down": down, "button": button}})
            time.sleep(0.05)

    def picture(self, card: str) -> Picture:
        """Returns what the monitor on a card shows."""
        self.description.card(card)
        file = self.directory / "picture.ppm"
        self.machine.execute("screendump", filename=str(file), device=card)
        return parse_ppm(file.read_bytes())

    def address(self, part: str) -> str:
        """Returns the PCI address in the PC of a card, controller, disk or NIC, by its id."""
        for bus in self.machine.execute("query-pci"):
            for device in _pci_devices(bus["devices"]):
                if device["qdev_id"] == part:
                    return f"0000:{device['bus']:02x}:{device['slot']:02x}.{device['function']:x}"
        raise LabError(f"{part}: no PCI device of that id in this PC")

    def _serve(self, thing: UsbThing) -> None:
        if thing.id in self.plugged:
            raise LabError(f"{thing.id}: is plugged in already")
        path = self.directory / f"{thing.id}.usb"
        self.served[thing.id] = ServedDevice(path, faces(thing))
        address = {"type": "unix", "data": {"path": str(path)}}
        backend = {"type": "socket", "data": {"addr": address, "server": False}}
        try:
            self.machine.execute("chardev-add", id=served_chardev(thing.id), backend=backend)
        except LabError:
            self.served.pop(thing.id).close()
            raise

    def _serve_no_more(self, thing_id: str) -> None:
        # QEMU forgets the chardev with the device (usbredir_unrealize, hw/usb/redirect.c).
        device = self.served.pop(thing_id, None)
        if device is not None:
            device.close()

    def _thing(self, thing_id: str) -> tuple[str, UsbThing]:
        if thing_id not in self.plugged:
            known = ", ".join(self.plugged) or "nothing"
            raise LabError(f"{thing_id}: not plugged in; plugged in: {known}")
        return self.plugged[thing_id]

    def _mouse(self, mouse: str) -> int:
        """Returns QEMU's number of a relative mouse: they are counted in the order they came."""
        self._thing(mouse)
        numbers = [
            entry["index"]
            for entry in self.machine.execute("query-mice")
            if entry["name"] == "QEMU HID Mouse"
        ]
        mice = [name for name, (_, thing) in self.plugged.items() if thing.kind is UsbKind.MOUSE]
        return int(sorted(numbers)[mice.index(mouse)])

    def _send(self, thing_id: str, event: Mapping[str, object]) -> None:
        controller, thing = self._thing(thing_id)
        display = usb_properties(self.description, controller, thing).get("display")
        if display is None:
            raise LabError(f"{thing_id}: no card to send events by", hint="give the PC a card")
        self.machine.execute("input-send-event", device=display, events=[event])


def _key(key: str, down: bool) -> dict[str, object]:
    return {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": key}}}


def _pci_devices(devices: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields the functions of query-pci, those behind bridges after their bridge."""
    for device in devices:
        yield device
        yield from _pci_devices(device.get("pci_bridge", {}).get("devices", ()))
