"""`parse_edid` against two decoders' answers for monitors that were really sold."""

from __future__ import annotations

import json
import re

import pytest

from phyllome_seat.model.edid import Monitor, parse_edid
from tests.recorded import count_tested, read_archive, recorded

SETS = {"linuxhw": 525, "libdisplay-info": 31}

# Rows that hold no answer at all: nothing to compare with.
EMPTY_ROWS = {
    # The row says null for everything; the decoder's output beside it does have the answers, and
    # test_the_reference_decoder_printed_the_same_monitors compares with them.
    "ayaneo-wxga.edid",
}

# file name: why what we say differs from the expected answer. At most 2 % of a set.
DIFFERENCES: dict[str, str] = {}


def first_text(texts: list[str]) -> str | None:
    """The expected answers list every text as it is; a Monitor has the first that says something,
    without blanks around it."""
    return next((text.strip() for text in texts if text.strip()), None)


def expected_monitor(row: dict) -> Monitor:
    timing = row["dtd1"]
    return Monitor(
        maker=row["manufacturer"],
        product=row["product"],
        serial_number=row["serial_number"],
        serial=first_text(row["serial_strings"]),
        name=first_text(row["names"]),
        week=row["week"],
        year=row["year"],
        model_year=row["model_year"],
        size_cm=tuple(row["size_cm"]) if row["size_cm"] else None,
        preferred=(timing["w"], timing["h"]) if timing else None,
        digital=row["input"] == "digital",
    )


def differing_fields(ours: Monitor, expected: Monitor) -> dict[str, tuple]:
    return {
        field: (getattr(ours, field), getattr(expected, field))
        for field in Monitor.__slots__
        if field != "warnings" and getattr(ours, field) != getattr(expected, field)
    }


def read_set(name: str) -> list[tuple[dict, bytes]]:
    rows = recorded(f"edid/{name}.expected.jsonl").read_text(encoding="utf-8").splitlines()
    files = read_archive(f"edid/{name}.tar.xz")
    return [(row, files[f"{name}/{row['file']}"]) for row in map(json.loads, rows)]


@pytest.mark.parametrize("name", SETS)
def test_every_recorded_monitor_is_what_edid_decode_says(name):
    found = {}
    empty = set()
    rows = read_set(name)
    for row, data in rows:
        monitor = parse_edid(data)
        count_tested("monitors", f"{name}/{row['file']}")
        if row["manufacturer"] is None:
            empty.add(row["file"])
        elif fields := differing_fields(monitor, expected_monitor(row)):
            found[row["file"]] = fields

    assert len(rows) == SETS[name]
    assert empty <= EMPTY_ROWS
    assert found.keys() == DIFFERENCES.keys() & {row["file"] for row, _ in rows}, found
    assert len(found) <= 0.02 * len(rows)


@pytest.mark.parametrize("name", SETS)
def test_a_recorded_monitor_has_a_checksum_warning_exactly_where_edid_decode_has(name):
    for row, data in read_set(name):
        complains = any("checksum" in warning for warning in parse_edid(data).warnings)
        assert complains is not row["checksum_ok"], row["file"]


def ref_answer(text: str, pattern: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def test_the_reference_decoder_printed_the_same_monitors():
    files = read_archive("edid/libdisplay-info.tar.xz")
    refs = {name: text.decode() for name, text in files.items() if name.endswith(".ref")}
    for name, text in refs.items():
        monitor = parse_edid(files[name.removesuffix("ref") + "edid"])
        count_tested("monitors", name.removesuffix("ref") + "edid")
        serial_number = ref_answer(text, r"\n    Serial Number: (\d+)")
        product_name = ref_answer(text, r"Display Product Name: '(.*)'")
        product_serial = ref_answer(text, r"Display Product Serial Number: '(.*)'")

        assert monitor.maker == ref_answer(text, r"Manufacturer: (...)"), name
        assert monitor.product == int(ref_answer(text, r"Model: (\d+)") or -1), name
        assert monitor.serial_number == (int(serial_number) if serial_number else None), name
        assert monitor.name == first_text([product_name or ""]), name
        assert monitor.serial == first_text([product_serial or ""]), name
        assert monitor.digital is ("\n    Digital display" in text), name

    assert len(refs) == SETS["libdisplay-info"]
