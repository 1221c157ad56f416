"""The files of ``/run/phyllome-seat`` as JSON text, both ways."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import BeforeBind, Pending
from phyllome_seat.model.errors import AddressError, StateFileError
from phyllome_seat.model.lend import UNTIL, Lend, Lending, Released

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


def render_lending(lending: Lending) -> str:
    """Return what was lent and taken back as text."""
    return _render(
        {
            "lends": [
                {
                    **_said(lend),
                    "seat": lend.seat,
                    "until": lend.until,
                    "ends_at_s": lend.ends_at_s,
                    "run": lend.run,
                }
                for lend in lending.lends
            ],
            "released": [
                {**_said(item), "bus": item.bus, "number": item.number} for item in lending.released
            ],
        }
    )


def _said(said: Lend | Released) -> dict[str, object]:
    return {
        "port": str(said.port),
        "id": str(said.id),
        "serial": said.serial,
        "since_s": said.since_s,
        "gone_s": said.gone_s,
    }


def parse_lending(text: str, path: str) -> Lending:
    """Return what `render_lending` wrote; StateFileError, naming `path`, for anything else."""
    facts = _parse(text, path)
    try:
        return Lending(
            tuple(_parse_lend(item) for item in _objects(facts, "lends")),
            tuple(_parse_released(item) for item in _objects(facts, "released")),
        )
    except (_FactError, AddressError) as error:
        raise StateFileError(path, str(error)) from error


def _parse_lend(facts: Mapping[str, object]) -> Lend:
    until = _word(facts, "until")
    if until not in UNTIL:
        raise _FactError(f"until is {until!r:.40}, not one of {', '.join(UNTIL)}")
    return Lend(
        port=UsbPort.parse(_word(facts, "port")),
        id=UsbId.parse(_word(facts, "id")),
        serial=_word_or_none(facts, "serial"),
        seat=_word(facts, "seat"),
        until=until,
        ends_at_s=_seconds_or_none(facts, "ends_at_s"),
        since_s=_seconds_or_none(facts, "since_s") or 0.0,
        gone_s=_seconds_or_none(facts, "gone_s"),
        run=None if facts.get("run") is None else _word(facts, "run"),
    )


def _parse_released(facts: Mapping[str, object]) -> Released:
    return Released(
        port=UsbPort.parse(_word(facts, "port")),
        id=UsbId.parse(_word(facts, "id")),
        serial=_word_or_none(facts, "serial"),
        bus=_number(facts, "bus"),
        number=_number(facts, "number"),
        since_s=_seconds_or_none(facts, "since_s") or 0.0,
        gone_s=_seconds_or_none(facts, "gone_s"),
    )


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


def _seconds_or_none(facts: Mapping[str, object], key: str) -> float | None:
    value = facts.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= float(str(value)) < 1e12:
        raise _FactError(f"{key} is {value!r:.40}, not a time in seconds")
    return float(str(value))


def _objects(facts: Mapping[str, object], key: str) -> list[dict[str, object]]:
    value = facts.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _FactError(f"{key} is {value!r:.40}, not a list of objects")
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
