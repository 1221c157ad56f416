"""What the lab's small guest said on its serial port: one line per fact, read back into values.

::

    guest seat=left boot=b89b0434-... kernel=6.12.107+deb13-amd64
    pci 0000:01:00.0 1234:1111 038000
    card card0 bochs-drm                     or: no card
    screen card0 connector 15-1 1280x800     connector: type (drm_mode.h) and number
    input event1 0627:0001 name="QEMU USB Keyboard" phys="usb-0000:02:00.0-1/input0" uniq="A1"
    ready 6687                               milliseconds since the kernel started
    event event1 EV_KEY KEY_H 1
    gone event1
    bye                                      it powers off

Other lines (the kernel's own) are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIRST = re.compile(r"(\S*) boot=(\S+) kernel=(\S+)")
_PCI = re.compile(r"pci (\S+) ([0-9a-f]{4}:[0-9a-f]{4}) ([0-9a-f]{6})")
_CARD = re.compile(r"card (card\d+) (\S*)")
_SCREEN = re.compile(r"screen (card\d+) connector \d+-\d+ (\d+)x(\d+)")
_INPUT = re.compile(
    r'input (event\d+) ([0-9a-f]{4}:[0-9a-f]{4}) name="([^"]*)" phys="([^"]*)" uniq="([^"]*)"'
)
_READY = re.compile(r"ready \d+")
_EVENT = re.compile(r"event (event\d+) (\S+) (\S+) (-?\d+)")
_GONE = re.compile(r"gone (event\d+)")


@dataclass(frozen=True, slots=True)
class GuestInput:
    """An input device; its node's name may be another's after it has gone.

    In its strings, what is not printable ASCII (and quotation marks) reads `\\x22`.
    """

    node: str
    id: str
    name: str
    phys: str
    uniq: str


@dataclass(frozen=True, slots=True)
class GuestEvent:
    """One input event, by its names in the kernel's input-event-codes.h."""

    device: GuestInput
    type: str
    code: str
    value: int


@dataclass(frozen=True, slots=True)
class GuestLog:
    """All that one boot of a guest said so far; everything in the order it was said."""

    seat: str = ""
    boot: str = ""
    kernel: str = ""
    pci: tuple[tuple[str, str, str], ...] = ()  # address, vendor:device, class
    cards: tuple[tuple[str, str], ...] = ()  # node, driver
    screens: tuple[tuple[str, int, int], ...] = ()  # card, width, height
    inputs: tuple[GuestInput, ...] = ()
    events: tuple[GuestEvent, ...] = ()
    gone: tuple[str, ...] = ()
    ready: bool = False
    bye: bool = False


def parse_guest_log(text: str) -> GuestLog:
    """Return what the guest's last boot in this text said, without a last line cut short."""
    _, first, rest = text.replace("\r", "").rpartition("guest seat=")
    lines = rest.split("\n")[:-1]
    if not first or not (named := _FIRST.fullmatch(lines[0] if lines else "")):
        return GuestLog()
    inputs, events, gone = _follow_inputs(lines)
    return GuestLog(
        seat=named[1],
        boot=named[2],
        kernel=named[3],
        pci=tuple((found[1], found[2], found[3]) for found in _find(_PCI, lines)),
        cards=tuple((found[1], found[2]) for found in _find(_CARD, lines)),
        screens=tuple((found[1], int(found[2]), int(found[3])) for found in _find(_SCREEN, lines)),
        inputs=inputs,
        events=events,
        gone=gone,
        ready=bool(_find(_READY, lines)),
        bye="bye" in lines,
    )


def typed_text(log: GuestLog) -> str:
    """Return the letters, digits, spaces and hyphens typed on all of the guest's keyboards."""
    names = {"KEY_SPACE": " ", "KEY_MINUS": "-"}
    keys = [event.code for event in log.events if event.type == "EV_KEY" and event.value == 1]
    plain = (names.get(key, key[4:].lower()) for key in keys if key.startswith("KEY_"))
    return "".join(letter for letter in plain if len(letter) == 1)


def _find(pattern: re.Pattern[str], lines: list[str]) -> list[re.Match[str]]:
    return [found for line in lines if (found := pattern.fullmatch(line))]


def _follow_inputs(
    lines: list[str],
) -> tuple[tuple[GuestInput, ...], tuple[GuestEvent, ...], tuple[str, ...]]:
    """Return what came, what it sent, what went: a node's name passes from device to device."""
    inputs: list[GuestInput] = []
    events: list[GuestEvent] = []
    gone: list[str] = []
    present: dict[str, GuestInput] = {}
    for line in lines:
        if found := _INPUT.fullmatch(line):
            inputs.append(GuestInput(*found.groups()))
            present[found[1]] = inputs[-1]
        elif found := _GONE.fullmatch(line):
            gone.append(found[1])
            present.pop(found[1], None)
        elif found := _EVENT.fullmatch(line):
            device = present.get(found[1], GuestInput(found[1], "", "", "", ""))
            events.append(GuestEvent(device, found[2], found[3], int(found[4])))
    return tuple(inputs), tuple(events), tuple(gone)
