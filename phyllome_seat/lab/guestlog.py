"""What the lab's small guest said on its serial port: one line per fact, read back into values.

::

    guest seat=left boot=b89b0434-... kernel=6.12.107+deb13-amd64
    pci 0000:01:00.0 1234:1111 038000
    card card0 bochs-drm                     or: no card
    screen card0 connector 15-1 1280x800     connector type as in the kernel's drm_mode.h, and number
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

_INPUT = re.compile(r'(\S+) ([0-9a-f]{4}:[0-9a-f]{4}) name="(.*?)" phys="(.*?)" uniq="(.*?)"$')


@dataclass(frozen=True, slots=True)
class GuestInput:
    """An input device that came, in the order of coming; its node's name may be used again later."""

    node: str
    id: str
    name: str
    phys: str
    uniq: str


@dataclass(frozen=True, slots=True)
class GuestEvent:
    """One input event; `uniq` is the serial of the device that sent it."""

    node: str
    type: str
    code: str
    value: int
    name: str = ""
    uniq: str = ""


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
    """Return what the guest's last boot in this text said; a line cut short at the end is left out."""
    lines = text.replace("\r", "").split("\n")[:-1]
    starts = [number for number, line in enumerate(lines) if line.startswith("guest seat=")]
    if not starts:
        return GuestLog()
    lines = lines[starts[-1] :]
    first = dict(word.partition("=")[::2] for word in lines[0].split()[1:])
    inputs, events, gone = _follow_inputs(lines)
    return GuestLog(
        seat=first.get("seat", ""),
        boot=first.get("boot", ""),
        kernel=first.get("kernel", ""),
        pci=tuple((a, b, c) for a, b, c in _words(lines, "pci", 3)),
        cards=tuple((node, driver) for node, driver in _words(lines, "card", 2)),
        screens=tuple(_screen(words) for words in _words(lines, "screen", 4)),
        inputs=inputs,
        events=events,
        gone=gone,
        ready=any(line.startswith("ready ") for line in lines),
        bye="bye" in lines,
    )


def typed_text(log: GuestLog) -> str:
    """Return the letters, digits, spaces and hyphens typed on all of the guest's keyboards."""
    names = {"KEY_SPACE": " ", "KEY_MINUS": "-"}
    keys = [event.code for event in log.events if event.type == "EV_KEY" and event.value == 1]
    plain = (names.get(key, key[4:].lower()) for key in keys if key.startswith("KEY_"))
    return "".join(letter for letter in plain if len(letter) == 1)


def _words(lines: list[str], kind: str, count: int) -> list[list[str]]:
    found = (line.split(" ") for line in lines if line.startswith(kind + " "))
    return [words[1:] for words in found if len(words) == count + 1]


def _screen(words: list[str]) -> tuple[str, int, int]:
    width, _, height = words[3].partition("x")
    return words[0], int(width), int(height)


def _follow_inputs(
    lines: list[str],
) -> tuple[tuple[GuestInput, ...], tuple[GuestEvent, ...], tuple[str, ...]]:
    inputs: list[GuestInput] = []
    events: list[GuestEvent] = []
    gone: list[str] = []
    present: dict[str, GuestInput] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "input" and (match := _INPUT.match(rest)):
            inputs.append(GuestInput(*match.groups()))
            present[match[1]] = inputs[-1]
        elif kind == "gone":
            gone.append(rest)
            present.pop(rest, None)
        elif kind == "event" and (words := rest.split(" "))[3:]:
            device = present.get(words[0])
            name, uniq = (device.name, device.uniq) if device else ("", "")
            events.append(GuestEvent(words[0], words[1], words[2], int(words[3]), name, uniq))
    return tuple(inputs), tuple(events), tuple(gone)
