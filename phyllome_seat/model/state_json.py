"""The state files of a binding as JSON text, both ways."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.devices import BeforeBind, Pending
from phyllome_seat.model.errors import AddressError, StateFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def render_before(before: BeforeBind) -> str:
    """Return what a function had before us as text."""
    return _render(
        {
            "address": str(before.address),
            "id": str(before.id),
            "driver": before.driver,
            "override": before.override,
            "seat": before.seat,
            "known": before.known,
        }
    )


def parse_before(text: str, path: str) -> BeforeBind:
    """Return what `render_before` wrote; StateFileError, naming `path`, for anything else."""
    facts = _parse(text, path)
    try:
        return BeforeBind(
            address=PciAddress.parse(_word(facts, "address")),
            id=PciId.parse(_word(facts, "id")),
            driver=_word_or_none(facts, "driver"),
            override=_word_or_none(facts, "override"),
            seat=_word(facts, "seat"),
            known=facts.get("known") is not False,
        )
    except (_FactError, AddressError) as error:
        raise StateFileError(path, str(error)) from error


def render_pending(pending: Pending, started: int) -> str:
    """Return an unfinished write as text; `started` tells its process from a later one."""
    return _render(
        {
            "address": str(pending.address),
            "driver": pending.driver,
            "pid": pending.pid,
            "started": started,
            "holders": list(pending.holders),
            "doing": pending.doing,
        }
    )


def parse_pending(text: str, path: str) -> tuple[Pending, int]:
    """Return what `render_pending` wrote; StateFileError, naming `path`, for anything else."""
    facts = _parse(text, path)
    try:
        holders = facts.get("holders")
        if not isinstance(holders, list):
            raise _FactError(f"holders is {holders!r:.40}, not a list")
        pending = Pending(
            address=PciAddress.parse(_word(facts, "address")),
            driver=_word(facts, "driver"),
            pid=_number(facts, "pid"),
            holders=tuple(map(str, holders)),
            doing=_word(facts, "doing"),
        )
        return pending, _number(facts, "started")
    except (_FactError, AddressError) as error:
        raise StateFileError(path, str(error)) from error


class _FactError(Exception):
    """A fact that is missing, or of the wrong kind."""


def _word(facts: Mapping[str, object], key: str) -> str:
    value = facts.get(key)
    if not isinstance(value, str):
        raise _FactError(f"{key} is {value!r:.40}, not a text")
    return value


def _word_or_none(facts: Mapping[str, object], key: str) -> str | None:
    return None if facts.get(key, "") is None else _word(facts, key)


def _number(facts: Mapping[str, object], key: str) -> int:
    value = facts.get(key)
    if type(value) is not int:
        raise _FactError(f"{key} is {value!r:.40}, not a number")
    return value


def _render(facts: Mapping[str, object]) -> str:
    import json

    return json.dumps(facts) + "\n"


def _parse(text: str, path: str) -> dict[str, object]:
    import json

    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateFileError(path, f"is no JSON: {error}") from error
    if not isinstance(facts, dict):
        raise StateFileError(path, "holds no JSON object")
    return facts
