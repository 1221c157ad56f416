from __future__ import annotations

import itertools
import random
import string
import struct
import subprocess
import zlib
from importlib import resources

import pytest

from phyllome_seat.lab import banner
from phyllome_seat.lab.banner import name_colour, recognise, render_banner
from phyllome_seat.lab.guestprogram import render_font_header
from phyllome_seat.lab.picture import Picture, parse_ppm, render_png, render_ppm

LETTERS = string.ascii_lowercase + string.digits
NAMES = ("left", "right", "north", "seat-1", "seat-2", "a", "win11")


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """The picture on a screen of another size, each pixel the nearest one's."""
    rgb = bytearray()
    for y in range(height):
        row = y * picture.height // height * picture.width
        for x in range(width):
            at = (row + x * picture.width // width) * 3
            rgb += picture.rgb[at : at + 3]
    return Picture(width, height, bytes(rgb))


def test_every_letter_a_seat_name_can_have_can_be_drawn():
    assert set(banner.font()) == set(LETTERS + "-")


@pytest.mark.parametrize(
    ("name", "size"),
    [*((name, (320, 200)) for name in NAMES), ("seat-2", (640, 480)), ("win11", (1024, 768))],
)
def test_a_banner_is_recognised_at_any_size(name, size):
    assert recognise(render_banner(name, *size), NAMES) == name


def test_a_scaled_picture_of_a_banner_is_recognised():
    assert recognise(scaled(render_banner("left", 640, 400), 500, 313), NAMES) == "left"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_among_the_asked_is_not_recognised(name):
    others = tuple(other for other in NAMES if other != name)
    assert recognise(render_banner(name, 320, 200), others) is None


def test_no_letter_passes_for_another():
    ink = {letter: banner._ink(render_banner(letter, 160, 100)) for letter in LETTERS}
    alike = {
        pair: banner.correlate(ink[pair[0]], ink[pair[1]])
        for pair in itertools.combinations(LETTERS, 2)
    }
    assert max(alike.values()) < banner.ALIKE


def test_a_letter_on_a_wrong_background_is_not_recognised():
    picture = render_banner("left", 320, 200)
    swapped = bytes(itertools.chain(*zip(*[picture.rgb[i::3] for i in (1, 0, 2)], strict=True)))
    assert recognise(Picture(320, 200, swapped), NAMES) is None


def test_a_blank_picture_shows_nobody():
    for shade in (b"\0", b"\x80", b"\xff"):
        assert recognise(Picture(320, 200, shade * (320 * 200 * 3)), NAMES) is None


def test_a_banner_without_its_name_shows_nobody():
    picture = render_banner("left", 320, 200)
    row = 320 * 3
    empty = picture.rgb[:row] * 200
    assert recognise(Picture(320, 200, empty), NAMES) is None


def test_noise_shows_nobody():
    noise = random.Random(7).randbytes(320 * 200 * 3)
    assert recognise(Picture(320, 200, noise), NAMES) is None


def test_half_a_name_shows_nobody():
    picture = render_banner("left", 320, 200)
    rows = [picture.rgb[y * 960 : (y + 1) * 960] for y in range(200)]
    half = b"".join(row[:480] + row[:3] * 160 for row in rows)
    assert recognise(Picture(320, 200, half), NAMES) is None


def test_a_picture_too_small_to_read_shows_nobody():
    assert recognise(Picture(8, 8, bytes(192)), NAMES) is None


def test_left_and_right_have_colours_that_differ():
    differences = (
        abs(a - b) for a, b in zip(name_colour("left"), name_colour("right"), strict=True)
    )
    assert max(differences) > 40


def test_a_ppm_is_read_as_it_was_written():
    picture = render_banner("left", 160, 100)
    assert parse_ppm(render_ppm(picture)) == picture
    assert parse_ppm(b"P6\n# a comment\n1 1\n255\nabc") == Picture(1, 1, b"abc")


@pytest.mark.parametrize(
    "data", [b"", b"P6", b"P5\n1 1\n255\nabc", b"P6\n1 1\n65535\nabcdef", b"P6\n2 2\n255\nabc"]
)
def test_what_is_no_ppm_is_refused(data):
    with pytest.raises(ValueError, match="PPM"):
        parse_ppm(data)


def test_a_png_holds_the_picture():
    picture = render_banner("a", 120, 80)
    data = render_png(picture)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        chunks[kind], at = body, at + 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (120, 80, 8, 2, 0, 0, 0)
    rows = zlib.decompress(chunks[b"IDAT"])
    assert b"".join(rows[y * 361 + 1 : (y + 1) * 361] for y in range(80)) == picture.rgb


MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "guest-banner.h"
int main(int count, char **words)
{
    int width = atoi(words[1]), height = atoi(words[2]);
    uint32_t *pixels = calloc((size_t)width * height, 4);
    draw_banner(pixels, width, height, width, words[3]);
    if (count > 4)
        draw_typed(pixels, width, height, width, words[3], words[4]);
    for (int i = 0; i < width * height; i++)
        printf("%c%c%c", pixels[i] >> 16 & 255, pixels[i] >> 8 & 255, pixels[i] & 255);
}
"""


@pytest.fixture(scope="module")
def drawn_in_c(tmp_path_factory):
    folder = tmp_path_factory.mktemp("banner")
    for name in ("guest-banner.c", "guest-banner.h"):
        source = resources.files("phyllome_seat.lab").joinpath("data", name).read_bytes()
        (folder / name).write_bytes(source)
    (folder / "guest-font.h").write_text(render_font_header())
    (folder / "main.c").write_text(MAIN)
    command = "gcc -O2 -Wall -Wextra -ffp-contract=off -o draw main.c guest-banner.c -lm"
    subprocess.run(command.split(), cwd=folder, check=True)

    def draw(width, height, *words):
        size = (str(width), str(height))
        return subprocess.run(
            [str(folder / "draw"), *size, *words], capture_output=True, check=True
        ).stdout

    return draw


@pytest.mark.parametrize("size", [(320, 200), (641, 479)])
@pytest.mark.parametrize("name", ["left", "seat-10", "abcdefghijklmnopqrstuvwxyz01234"])
def test_the_guest_draws_what_python_draws_to_the_byte(drawn_in_c, name, size):
    assert drawn_in_c(*size, name) == render_banner(name, *size).rgb


def test_typed_text_changes_the_picture_but_not_whose_it_is(drawn_in_c):
    typed = Picture(640, 400, drawn_in_c(640, 400, "left", "hello 42"))
    assert typed.rgb != render_banner("left", 640, 400).rgb
    assert recognise(typed, NAMES) == "left"
