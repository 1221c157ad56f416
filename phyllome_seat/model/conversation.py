"""The conversation of `init`: what is known so far → the next question.

Answers are texts, the same whether a person types them, a press gives them or an option does;
`answer` checks each when it is given.
"""

from __future__ import annotations

from phyllome_seat.model.devices import Connector, Host
from phyllome_seat.model.monitors import numbered, render_monitor
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.value import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NONE = "none"
CREATE = "create"
# What is asked of each seat, in this order: the keyboard first, so that its own person can answer.
SEAT_KEYS = ("keyboard", "mouse", "monitor", "guest", "cpus", "memory", "disk", "firmware")
_SIZED = ("cpus", "memory", "disk", "firmware")  # asked where a guest is to be created
_HOST_MEMORY_GIB, _HOST_CPUS = 4, 2
IMAGES = "/var/lib/libvirt/images"


@dataclass(frozen=True, slots=True)
class Question:
    """One question. ``key`` names it in options: "seats", "left.keyboard", "console".

    ``press`` says that the answer is given by pressing; ``choices`` are lines to choose from.
    ``default`` is None where there is none. ``look`` says that monitors show their numbers.
    """

    key: str
    text: str
    default: str | None = None
    press: bool = False
    look: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known: the seats by name, and their answers by the question's key, checked."""

    names: tuple[str, ...] = ()
    given: tuple[tuple[str, str], ...] = ()

    def get(self, key: str) -> str | None:
        """Return the answer to a question, None while it was not answered."""
        return dict(self.given).get(key)


def next_question(
    host: Host, answers: Answers, proposed: Mapping[str, str] | None = None
) -> Question | None:
    """Return what is to be asked next, None when all is known.

    What is `proposed`, by the question's key, is its default.
    """
    question = _next(host, answers)
    if question is None or proposed is None or question.key not in proposed:
        return question
    return replace(question, default=proposed[question.key])


def _next(host: Host, answers: Answers) -> Question | None:
    if not answers.names:
        text = "the seats' names, one for each person, with commas between them"
        return Question("seats", text, "left,right")
    for name in answers.names:
        for key in SEAT_KEYS:
            if answers.get(f"{name}.{key}") is not None:
                continue
            if key in _SIZED and answers.get(f"{name}.guest") != CREATE:
                continue
            return _ask(host, answers, name, key)
    return None


def _ask(host: Host, answers: Answers, name: str, key: str) -> Question:
    place = f"{name}.{key}"
    if key == "keyboard":
        return Question(place, f"press a key on the keyboard of seat {name}", press=True)
    if key == "mouse":
        text = f"click the mouse of seat {name} (its keyboard again, or Esc, for none)"
        return Question(place, text, default=NONE, press=True)
    if key == "monitor":
        return _ask_monitor(host, answers, name)
    if key == "guest":
        return _ask_guest(host, name)
    threads = sum(cpu.online for cpu in host.cpus) - _HOST_CPUS
    text, default = {
        "cpus": ("how many CPUs", str(max(1, threads // len(answers.names)))),
        "memory": ("how much memory", _share_memory(host, len(answers.names))),
        "disk": (
            "its disk: size and path (an image that exists is used as it is), or `none`",
            f"64GiB {IMAGES}/{name}.qcow2",
        ),
        "firmware": ("its firmware, efi or bios", "efi"),
    }[key]
    return Question(place, f"the new guest of seat {name}: {text}", default)


def _ask_guest(host: Host, name: str) -> Question:
    domains = [guest.name for guest in host.guests_known if guest.seat in (None, name)]
    text = f"the guest of seat {name}: a libvirt domain, `create` for a new one, or `none`"
    choices = tuple(one_line(f"domain {domain}") for domain in domains)
    default = name if name in domains else CREATE
    return Question(f"{name}.guest", text, default, choices=choices)


def _ask_monitor(host: Host, answers: Answers, name: str) -> Question:
    free = [
        (number, connector)
        for number, connector in numbered(host)
        if seat_of_card(host, answers, connector) is None
    ]
    # the host's own screen is the last that a person would give away
    ranked = sorted(free, key=lambda item: item[1].gpu == host.console.gpu)
    text = f"the number of the monitor of seat {name}, or `none` for a guest without a card"
    default = str(ranked[0][0]) if ranked else NONE
    choices = tuple(render_monitor(number, connector, host) for number, connector in free)
    return Question(f"{name}.monitor", text, default, look=bool(free), choices=choices)


def seat_of_card(host: Host, answers: Answers, connector: Connector) -> str | None:
    """Return the seat that has the card of a connector already."""
    monitors = dict(numbered(host))
    for name in answers.names:
        number = answers.get(f"{name}.monitor")
        if number not in (None, NONE) and monitors[int(number)].gpu == connector.gpu:
            return name
    return None


def _share_memory(host: Host, count: int) -> str:
    """Return an even share of what the host can spare, in whole GiB where that is any."""
    total_mib = host.memory.total_kib // 1024 if host.memory else 0
    share_mib = (total_mib - min(_HOST_MEMORY_GIB * 1024, total_mib // 4)) // count
    if share_mib >= 2048:
        return f"{share_mib // 1024}GiB"
    return f"{max(256, share_mib // 128 * 128)}MiB"
