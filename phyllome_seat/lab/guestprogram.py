"""The small guest's one program, compiled from `data/guest*.c` into a static executable."""

from __future__ import annotations

import re
import subprocess
from importlib import resources
from pathlib import Path

from phyllome_seat.lab.banner import FONT_UNIT, font
from phyllome_seat.lab.errors import BuildError, MissingProgramError

PACKAGES = ("gcc", "libc6-dev", "libdrm-dev", "zstd")  # of Debian, that this build needs
EVENT_CODES = "linux/input-event-codes.h"
# The types of events, by their codes' prefix, as that header numbers them.
EVENT_TYPES = {
    "EV": -1,
    "SYN": 0,
    "KEY": 1,
    "BTN": 1,
    "REL": 2,
    "ABS": 3,
    "MSC": 4,
    "SW": 5,
    "LED": 17,
    "SND": 18,
    "REP": 20,
}


def compile_program(scratch: Path, *flags: str) -> bytes:
    """Return the guest's program, a static executable; leaves what it made in `scratch`."""
    for source in resources.files("phyllome_seat.lab").joinpath("data").iterdir():
        if source.name.startswith("guest") and source.name.endswith((".c", ".h")):
            (scratch / source.name).write_bytes(source.read_bytes())
    (scratch / "guest-font.h").write_text(render_font_header())
    if not _has_header("libdrm/drm.h"):
        raise MissingProgramError(("libdrm/drm.h",), PACKAGES)
    codes = run_builder("gcc", "-E", "-dD", "-x", "c", "-include", EVENT_CODES, "/dev/null")
    (scratch / "guest-codes.h").write_text(render_codes_header(codes.decode()))
    sources = sorted(path.name for path in scratch.glob("guest*.c"))
    # fp-contract: a fused multiply and add would round otherwise than Python does.
    run_builder(
        *("gcc", "-static", "-O2", "-s", "-ffp-contract=off", *flags),
        *("-Wl,--build-id=none", "-D_GNU_SOURCE", "-o", "guest", *sources, "-lm"),
        folder=scratch,
    )
    return (scratch / "guest").read_bytes()


def _has_header(name: str) -> bool:
    try:
        run_builder("gcc", "-E", "-x", "c", "-include", name, "/dev/null")
    except BuildError:
        return False
    return True


def render_font_header() -> str:
    """Return the banner's letters as C: `struct glyph`, `GLYPHS`, `SEGMENTS`, `FONT_UNIT`."""
    glyphs: list[str] = []
    segments: list[str] = []
    for letter, glyph in font().items():
        glyphs.append(f"{{'{letter}', {glyph.width}, {len(segments)}, {len(glyph.segments)}}},")
        segments += [f"{{{x1}, {y1}, {x2}, {y2}}}," for x1, y1, x2, y2 in glyph.segments]
    return "\n".join(
        [
            f"enum {{ FONT_UNIT = {FONT_UNIT} }};",
            "static const struct glyph { char letter; int width, first, count; } GLYPHS[] = {",
            *glyphs,
            "};",
            "static const short SEGMENTS[][4] = {",
            *segments,
            "};\n",
        ]
    )


def render_codes_header(macros: str) -> str:
    """Return the names of input events as C, from the macros of linux/input-event-codes.h.

    A number with two names keeps the later one: the header names a range first (`BTN_MOUSE`), then
    its members (`BTN_LEFT`). The types' own names have type -1.
    """
    number = rf"#define (({'|'.join(EVENT_TYPES)})_\w+)\s+(0x[0-9a-fA-F]+|\d+)\b"
    names = {
        (EVENT_TYPES[kind], int(value, 0)): name
        for name, kind, value in re.findall(number, macros)
        if not name.endswith(("_MAX", "_CNT"))
    }
    rows = [f'{{{kind}, {code}, "{name}"}},' for (kind, code), name in sorted(names.items())]
    return "\n".join(
        [
            "static const struct code { short type, code; const char *name; } CODES[] = {",
            *rows,
            "};\n",
        ]
    )


def run_builder(*command: str, folder: Path | None = None) -> bytes:
    """Return what the program printed. Raises LabError with what it complained about."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    except FileNotFoundError as error:
        raise MissingProgramError((command[0],), PACKAGES) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(command[0], f"no end within {error.timeout:g} s") from error
    if done.returncode:
        raise BuildError(command[0], done.stderr.decode(errors="replace")[-2000:])
    return done.stdout
