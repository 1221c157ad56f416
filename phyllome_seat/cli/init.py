"""`init`: the conversation that ends in a seat file, or the diff of one whose hardware moved."""

from __future__ import annotations

import sys
from pathlib import Path

from phyllome_seat.cli.identify import ended_by_signals, hear, terminal_of_this
from phyllome_seat.cli.inputs import MACHINE_SAYS_NO, SEAT_FILE, agree, need_root, read_host
from phyllome_seat.cli.line import parse_line
from phyllome_seat.model.answer import AnswerError, take
from phyllome_seat.model.answered import build_wish, find_conflicts
from phyllome_seat.model.conversation import NONE, SEAT_KEYS, Answers, next_question
from phyllome_seat.model.errors import AssignmentError, PhyllomeSeatError, SeatFileError
from phyllome_seat.model.given_up import find_given_up, name_given_up
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.suggest import suggest
from phyllome_seat.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from phyllome_seat.model.conversation import Question
    from phyllome_seat.model.devices import Host
    from phyllome_seat.model.seat import Wish


def init(args: argparse.Namespace) -> int:
    """Ask, write the seat file, show the plan; nothing is changed before the last yes."""
    need_root(args, "init listens to keyboards and writes the seat file")
    path = Path(args.file or "/" + SEAT_FILE)
    given = _given(args)
    with ended_by_signals():
        host = read_host(args, guests=True)
        old = _read(path)
        stopping = _say_findings(host)
        if old is not None and not given:
            status = _follow(args, host, path, old)
        else:
            new = _render(_converse(args, host, given, _parse(old)))
            status = _offer(args, path, old, new)
    if stopping:
        print(f"before seats work: {'; '.join(stopping)} (`phyllome-seat check` says how)")
    return status


def _say_findings(host: Host) -> tuple[str, ...]:
    """Print what `check` finds of this PC, worst first; return what keeps seats from working.

    It ends nothing: the seat file may be written first, and what is missing be done afterwards.
    """
    from phyllome_seat.model.check import check
    from phyllome_seat.system.scan_platform import read_platform
    from phyllome_seat.system.sysfs import Sysfs

    findings = check(replace(host, platform=read_platform(Sysfs("/"), host.pci)))
    for finding in findings:
        if finding.severity != "note":
            print(finding)
    errors = dict.fromkeys(f"{f.subject}: {f.words}" for f in findings if f.severity == "error")
    if errors:
        print("Until the errors above are cured no seat works; the seat file can be written now.")
    return tuple(one_line(words) for words in errors)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PhyllomeSeatError(f"{path}: {error.strerror}", hint="name another by -f") from error


def _parse(old: str | None) -> Wish | None:
    """Return what a file says that is to be written anew, None where it cannot be read."""
    from phyllome_seat.model.seat_file import parse_wish

    try:
        return None if old is None else parse_wish(old)
    except SeatFileError:
        return None


def _given(args: argparse.Namespace) -> dict[str, str]:
    """Return the answers that the command line gives, by the keys of their questions."""
    given = {} if args.seats is None else {"seats": args.seats}
    for text in args.seat:
        place, equals, value = text.partition("=")
        name, colon, key = place.partition(":")
        if not (equals and colon and key in SEAT_KEYS):
            keys = ", ".join(SEAT_KEYS)
            raise AnswerError(
                f"--seat {text}: expected NAME:KEY=VALUE", hint=f"KEY is one of {keys}"
            )
        given[f"{name}.{key}"] = value
    return given


# ── a seat file that is there ───────────────────────────────────────────────────────────────────


def _follow(args: argparse.Namespace, host: Host, path: Path, old: str) -> int:
    """Offer the seat file with new places for what moved."""
    from phyllome_seat.model.remap import edit_text, remap
    from phyllome_seat.model.seat_file import parse_wish
    from phyllome_seat.model.seen import parse_seen
    from phyllome_seat.system.state import State

    wish = parse_wish(old, str(path))
    found = remap(wish, host, parse_seen(State("/").read_seen()))
    for sentence in (*found.reasons, *found.left):
        print(sentence)
    if not found.edits:
        if found.left:
            print("nothing was found elsewhere; `init --seats NAME,...` begins anew")
            return MACHINE_SAYS_NO
        print(f"all that {path} names is where it says; `init --seats NAME,...` begins anew")
        return _plan(args, path)
    new = edit_text(old, found)
    if new is None or parse_wish(new, str(path)) != found.wish:
        new = _render(found.wish)
    return _offer(args, path, old, new)


# ── the conversation ────────────────────────────────────────────────────────────────────────────


def _converse(
    args: argparse.Namespace, host: Host, given: dict[str, str], before: Wish | None
) -> Wish:
    """Return the seat file that the answers mean."""
    if not args.yes:
        print("Ctrl-C ends this at any time, and nothing is changed. Enter takes what is in [ ].")
        if not host.groups:
            print("This PC has no IOMMU groups: USB sockets can go to seats, no card can.")
        if host.before:
            print("Seats are set up now: what they have cannot be pressed. `revert` gives it back.")
    answers, left = Answers(), dict(given)
    while question := next_question(host, answers, suggest(host, answers)):
        said = left.pop(question.key, None)
        if said is None and args.yes:
            said = _default(question)
        if said is not None:
            answers = take(host, answers, question.key, said)
        else:
            host, answers = _ask_until(args, host, answers, question)
    if left:
        raise AnswerError(
            f"{next(iter(left))} was answered and not asked", hint="name its seat in --seats"
        )
    return _settle(args, host, answers, before)


def _default(question: Question) -> str:
    if question.default is None:
        option = question.key.replace(".", ":", 1)
        raise AnswerError(
            f"{question.key} is not known", hint=f"say --seat {option}=..., a USB place or none"
        )
    return question.default


def _ask_until(
    args: argparse.Namespace, host: Host, answers: Answers, question: Question
) -> tuple[Host, Answers]:
    """Ask until an answer fits; return the machine as it then was, and what is known."""
    while True:
        try:
            if question.press:
                host, said = _hear(args, host, question)
            else:
                said = _ask(host, question)
            answers = take(host, answers, question.key, said)
        except AnswerError as error:
            print(f"  {error}" + (f" ({error.hint})" if error.hint else ""))
            continue
        return host, answers


def _ask(host: Host, question: Question) -> str:
    if question.look:
        _show_numbers(host)
    for choice in question.choices:
        print(f"  {choice}")
    default = "" if question.default is None else f" [{question.default}]"
    try:
        return input(f"{question.text}{default}: ").strip() or question.default or ""
    except EOFError:
        raise PhyllomeSeatError(
            f"{question.key} was not answered: nothing was changed",
            hint="answer by options, `phyllome-seat init --help`, or in a terminal",
        ) from None


def _hear(args: argparse.Namespace, host: Host, question: Question) -> tuple[Host, str]:
    """Return where a press came from, with the machine as it is now; "none" after Esc."""
    from phyllome_seat.model.climb import climb
    from phyllome_seat.system.identify import EscapedError
    from phyllome_seat.system.scan import scan
    from phyllome_seat.system.sysfs import Sysfs

    print(f"{question.text} …", flush=True)
    try:
        node = hear(args.timeout)
    except EscapedError:
        print("  none")
        return host, NONE
    now = replace(scan(Sysfs("/")), guests=host.guests)
    found = climb(now, node, question.key.partition(".")[0])
    for words in ([found.device.name] if found.device else []) + list(found.words[-1:]):
        print(f"  {words}")
    return now, node


def _show_numbers(host: Host) -> None:
    """Show the monitors' numbers until Enter, where that can be."""
    from phyllome_seat.model.monitors import numbered
    from phyllome_seat.system.identify_monitors import show_numbers
    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.terminal import wait_enter

    monitors = numbered(host)
    print("each monitor shows its number; look, then press Enter to go on", flush=True)
    with terminal_of_this() as terminal, show_numbers(Sysfs("/"), monitors) as shown:
        if len(shown.dark) < len(monitors):
            wait_enter(terminal, 30.0, shown.desktops)
    for number, why in shown.dark.items():
        print(f"  {number} is not shown: {why}")


def _settle(args: argparse.Namespace, host: Host, answers: Answers, before: Wish | None) -> Wish:
    """Return a wish that fits; the host's console is given up only when that is said, by name."""
    wish = build_wish(host, answers, args.console or "keep")
    conflicts = find_conflicts(host, wish)
    if not conflicts:
        _say_given_up(host, wish)
    elif args.console is None and not args.yes:
        without = build_wish(host, answers, "none")
        if not find_conflicts(host, without):
            _say_given_up(host, without)
            if agree("Give these up? The host is then reached by SSH."):
                wish, conflicts = without, ()
    if conflicts:
        raise AssignmentError(conflicts, hint="nothing was written: answer otherwise")
    return name_given_up(host, wish, before)


def _say_given_up(host: Host, wish: Wish) -> None:
    """Print what the seats take although the host needs it."""
    for number, given in enumerate(find_given_up(host, wish)):
        if number == 0:
            print("The host gives up (`console: none`), each named in the seat file (`gives-up`):")
        print(f"  {one_line(given.words)}")


# ── the end ─────────────────────────────────────────────────────────────────────────────────────


def _render(wish: Wish) -> str:
    from phyllome_seat.model.seat_file import render_wish

    return render_wish(wish)


def _offer(args: argparse.Namespace, path: Path, old: str | None, new: str) -> int:
    """Show what would be written, write it after a yes, and show what `apply` would do."""
    from phyllome_seat.system.files import write_file

    if old == new:
        print(f"{path} says that already")
        return _plan(args, path)
    sys.stdout.write("\n" + (_diff(path, old, new) if old is not None else new) + "\n")
    if not args.yes and not agree(f"Write {path}?"):
        print("nothing was written")
        return MACHINE_SAYS_NO
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_file(str(path), new.encode())
    except OSError as error:
        raise PhyllomeSeatError(f"{path}: {error.strerror}") from error
    print(f"{path} is written; `sudo phyllome-seat apply` would do:")
    return _plan(args, path)


def _diff(path: Path, old: str, new: str) -> str:
    from difflib import unified_diff

    lines = unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), str(path), f"{path} (new)"
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def _plan(args: argparse.Namespace, path: Path) -> int:
    """Print the plan for the file, as the command `plan` does."""
    line = ["--connect", args.connect, "plan", "--file", str(path)]
    planned = parse_line(line)
    status: int = planned.run(planned)
    return status
