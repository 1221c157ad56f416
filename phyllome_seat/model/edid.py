"""EDID bytes as a `Monitor`: which monitor is on a connector, as the monitor itself tells it.

Only the base block is read, since all that names a monitor is there; extensions are looked at for
warnings. Offsets and tags are those of VESA E-EDID Standard, Release A, Revision 2 (EDID 1.4),
section 3; what older monitors do against it is handled where a comment says so.
"""

from __future__ import annotations

from phyllome_seat.model.errors import EdidError
from phyllome_seat.model.value import dataclass

_BLOCK_SIZE = 128
_HEADER = b"\x00\xff\xff\xff\xff\xff\xff\x00"  # section 3.3
_DESCRIPTORS = (54, 72, 90, 108)  # section 3.10: four, of 18 bytes each
_DESCRIPTOR_SIZE = 18
_NAME_TAG = 0xFC  # section 3.10.3.4
_SERIAL_TAG = 0xFF  # section 3.10.3.1


@dataclass(frozen=True, slots=True)
class Monitor:
    """What is connected, by its EDID.

    ``maker`` is the three characters of the PNP id, not always letters in practice. Texts are
    printable ASCII without blanks around, and None where the monitor says nothing: they are the
    first of their kind that is not blank. ``serial`` is the text and ``serial_number`` the number;
    a monitor may have both, unequal, or neither, and many of one model may share them.
    ``week`` and ``year`` are of manufacture; ``model_year`` stands in their stead. Nothing of it
    is checked for sense: a year may lie in the future. ``size_cm`` and ``preferred`` (pixels of
    the first detailed timing, whole frames) are width and height. ``warnings`` are sentences.
    """

    maker: str
    product: int
    serial_number: int | None = None
    serial: str | None = None
    name: str | None = None
    week: int | None = None
    year: int | None = None
    model_year: int | None = None
    size_cm: tuple[int, int] | None = None
    preferred: tuple[int, int] | None = None
    digital: bool = True
    warnings: tuple[str, ...] = ()


def parse_edid(data: bytes) -> Monitor:
    """Return the monitor that an EDID describes, whatever its extensions hold.

    A wrong checksum or a missing extension is a warning. EdidError where the base block is cut
    short or does not start as one, which is also so for the empty ``edid`` of a free connector.
    """
    if len(data) < _BLOCK_SIZE:
        raise EdidError(
            f"EDID of {len(data)} bytes: a base block has {_BLOCK_SIZE}",
            hint="unplug the monitor's cable and plug it in again",
        )
    if not data.startswith(_HEADER):
        raise EdidError(
            f"EDID that starts with {data[:8].hex(' ')}: a base block starts with "
            f"{_HEADER.hex(' ')}",
            hint="unplug the monitor's cable and plug it in again",
        )
    week, year, model_year = _parse_date(data)
    maker = _parse_maker(data)
    return Monitor(
        maker=maker,
        product=int.from_bytes(data[10:12], "little"),
        serial_number=int.from_bytes(data[12:16], "little") or None,
        serial=_find_text(data, _SERIAL_TAG),
        name=_find_text(data, _NAME_TAG),
        week=week,
        year=year,
        model_year=model_year,
        size_cm=_parse_size(data),
        preferred=_parse_preferred(data),
        digital=bool(data[20] & 0x80),
        warnings=_find_faults(data, maker),
    )


def _parse_maker(data: bytes) -> str:
    """Return the PNP id: three times five bits, 1 is A. Section 3.4.1."""
    packed = int.from_bytes(data[8:10], "big")
    return "".join(chr(ord("@") + (packed >> shift & 0x1F)) for shift in (10, 5, 0))


def _parse_date(data: bytes) -> tuple[int | None, int | None, int | None]:
    """Return week, year, model year. Section 3.4.4: week 0 is not given, 255 marks a model year."""
    week, year = data[16], 1990 + data[17]
    if week == 0xFF:
        return None, None, year
    return week or None, year, None


def _parse_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in cm. Section 3.6.2: one zero makes it an aspect ratio."""
    width, height = data[21:23]
    return (width, height) if width and height else None


def _parse_preferred(data: bytes) -> tuple[int, int] | None:
    """Return the pixels of the first descriptor if that is a timing. Section 3.10.2, table 3.21.

    Some phone panels fill it with a picture without blanking, which no connector can send.
    """
    timing = data[_DESCRIPTORS[0] : _DESCRIPTORS[0] + _DESCRIPTOR_SIZE]
    has_clock = timing[0] or timing[1]  # none: a text or other descriptor
    width, width_blank = _twelve_bits(timing[2], timing[3], timing[4])
    height, height_blank = _twelve_bits(timing[5], timing[6], timing[7])
    if not (has_clock and width and width_blank and height and height_blank):
        return None
    interlaced = timing[17] & 0x80
    return width, height * 2 if interlaced else height


def _twelve_bits(low: int, low_blank: int, high: int) -> tuple[int, int]:
    """Return an active and a blanking length, whose upper four bits share one byte."""
    return (high & 0xF0) << 4 | low, (high & 0x0F) << 8 | low_blank


def _find_text(data: bytes, tag: int) -> str | None:
    """Return the first text with this tag that is not blank."""
    for start in _DESCRIPTORS:
        descriptor = data[start : start + _DESCRIPTOR_SIZE]
        if descriptor[:2] == b"\0\0" and descriptor[3] == tag:
            text = _clean(descriptor[5:])
            if text:
                return text
    return None


def _clean(text: bytes) -> str:
    """Return what is printable ASCII before the terminator.

    The terminator is a line feed (section 3.10.3); some makers end with a NUL, others fill all 13
    bytes and have none, and some leave bytes of an old code page or noise inside.
    """
    before = text.partition(b"\n")[0].partition(b"\0")[0]
    return bytes(byte for byte in before if 0x20 <= byte <= 0x7E).decode("ascii").strip()


def _find_faults(data: bytes, maker: str) -> tuple[str, ...]:
    """Return what is wrong with an EDID that can still be read, base block first."""
    faults = []
    if data[18] != 1:
        faults.append(f"EDID version {data[18]}.{data[19]} is not known, read as 1.4")
    if not (maker.isalpha() and maker.isupper()):
        faults.append(f"maker {maker} is not three letters")
    if sum(data[:_BLOCK_SIZE]) % 256:
        faults.append("wrong checksum in the base block")
    promised = data[126]
    present = min(promised, len(data) // _BLOCK_SIZE - 1)
    for number in range(1, present + 1):
        if sum(data[number * _BLOCK_SIZE : (number + 1) * _BLOCK_SIZE]) % 256:
            faults.append(f"wrong checksum in extension {number}")
    if present < promised:
        faults.append(f"{promised - present} of {promised} extensions missing")
    return tuple(faults)
