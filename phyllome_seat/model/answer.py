"""An answer to a question of `init`, checked against the machine and against the other seats."""

from __future__ import annotations

import re

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.climb import Climb, climb
from phyllome_seat.model.conversation import CREATE, IMAGES, NONE, SEAT_KEYS, Answers, seat_of_card
from phyllome_seat.model.devices import Connector, Host
from phyllome_seat.model.errors import AddressError, PhyllomeSeatError
from phyllome_seat.model.monitors import numbered
from phyllome_seat.model.seat_value import PATTERNS, SIZES
from phyllome_seat.model.value import replace


class AnswerError(PhyllomeSeatError):
    """An answer that does not fit; ask again."""

    exit_status = 2


def take(host: Host, answers: Answers, key: str, text: str) -> Answers:
    """Return what is known after an answer to the question `key`. AnswerError: it does not fit.

    For a keyboard or mouse the answer is a node ("event3"), a USB place, or "none".
    """
    text = text.strip()
    if key == "seats":
        return Answers(names=_names(text))
    name, _, what = key.rpartition(".")
    if name not in answers.names or what not in SEAT_KEYS:
        raise AnswerError(f"{key}: there is no such question")
    checked = _CHECKS[what](host, answers, name, text)
    others = tuple(pair for pair in answers.given if pair[0] != key)
    return replace(answers, given=(*others, (key, checked)))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if not re.fullmatch(PATTERNS["seat"], name):
            raise AnswerError(f"{name!r} is no seat's name: letters a-z, digits and -, like left")
    if not names or len(set(names)) < len(names):
        raise AnswerError("name each seat once, at least one: left,right")
    return names


def _check_keyboard(host: Host, answers: Answers, name: str, text: str) -> str:
    return _check_device(host, answers, f"{name}.keyboard", text)


def _check_mouse(host: Host, answers: Answers, name: str, text: str) -> str:
    port = _check_device(host, answers, f"{name}.mouse", text)
    return NONE if port == answers.get(f"{name}.keyboard") else port


def _check_device(host: Host, answers: Answers, key: str, text: str) -> str:
    """Return the USB place of a device that a seat can have."""
    if text == NONE:
        return NONE
    if re.fullmatch("event[0-9]+", text):
        found = _climb(host, text, key.partition(".")[0])
        if not found.ports or found.device is None or not found.offers:
            raise AnswerError("; ".join(found.words))
        text = str(found.device.port)
    try:
        port = UsbPort.parse(text)
    except AddressError as error:
        raise AnswerError(f"{key}: {error}", hint=error.hint) from error
    if port.controller not in host.by_address:
        raise AnswerError(f"{key}: {port.controller} is not in this PC")
    seat = key.partition(".")[0]
    for other, given in answers.given:
        if given == text and other.partition(".")[0] != seat:
            raise AnswerError(f"that is the {other.rpartition('.')[2]} of seat {_seat(other)}")
    return text


def _climb(host: Host, node: str, seat: str) -> Climb:
    try:
        return climb(host, node, seat)
    except PhyllomeSeatError as error:  # it has gone again
        raise AnswerError(str(error), hint=error.hint) from error


def _seat(key: str) -> str:
    return key.rpartition(".")[0]


def _check_monitor(host: Host, answers: Answers, name: str, text: str) -> str:
    if text == NONE:
        return NONE
    monitors = dict(numbered(host))
    number = next((n for n, c in monitors.items() if text in (str(n), *_says(c))), None)
    if number is None:
        known = ", ".join(map(str, monitors)) or NONE
        raise AnswerError(f"{text!r} is no monitor here: say a number ({known})")
    owner = seat_of_card(host, answers, monitors[number])
    if owner not in (None, name):
        raise AnswerError(f"monitor {number} is on the card of seat {owner}: one card, one seat")
    return str(number)


def _says(connector: Connector) -> tuple[str, ...]:
    """Return what a monitor may be called by in an option: its serial number, its place."""
    monitor = connector.monitor
    said = (monitor.serial, monitor.name) if monitor else ()
    return (f"{connector.gpu}/{connector.name}", *(word for word in said if word))


def _check_guest(host: Host, answers: Answers, name: str, text: str) -> str:
    text = text.removeprefix("domain ").strip()
    if text in (NONE, CREATE):
        return text
    if not re.fullmatch(PATTERNS["name"], text):
        raise AnswerError(f"{text!r} is no name of a guest")
    if host.guests is not None and text not in {guest.name for guest in host.guests}:
        known = ", ".join(guest.name for guest in host.guests) or "none"
        raise AnswerError(f"there is no domain {text}: libvirt has {known}; `create` makes one")
    for other in answers.names:
        if other != name and answers.get(f"{other}.guest") == text:
            raise AnswerError(f"domain {text} is the guest of seat {other}")
    return text


def _check_pattern(pattern: str, words: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise AnswerError(f"{text!r} is not {words}")
    return text


def _check_cpus(host: Host, answers: Answers, name: str, text: str) -> str:
    del host, answers, name
    return _check_pattern(PATTERNS["cpus"], "a number of CPUs", text)


def _check_memory(host: Host, answers: Answers, name: str, text: str) -> str:
    del host, answers, name
    return _check_pattern(PATTERNS["size"], "a size like 16GiB", text)


def _check_disk(host: Host, answers: Answers, name: str, text: str) -> str:
    """Return size and path, or none."""
    del host, answers
    if text == NONE:
        return NONE
    size, _, path = text.partition(" ")
    _check_pattern(PATTERNS["size"], "a size like 64GiB", size)
    path = path.strip() or f"{IMAGES}/{name}.qcow2"
    return f"{size} {_check_pattern(PATTERNS['path'], 'an absolute path', path)}"


def _check_firmware(host: Host, answers: Answers, name: str, text: str) -> str:
    del host, answers, name
    return _check_pattern("efi|bios", "efi or bios", text)


_CHECKS = {
    "keyboard": _check_keyboard,
    "mouse": _check_mouse,
    "monitor": _check_monitor,
    "guest": _check_guest,
    "cpus": _check_cpus,
    "memory": _check_memory,
    "disk": _check_disk,
    "firmware": _check_firmware,
}


def size_bytes(text: str) -> int:
    """Return the bytes of a size that was checked: "16GiB"."""
    unit = next(unit for unit in SIZES if text.endswith(unit))
    return int(text.removesuffix(unit)) * SIZES[unit]
