from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.edid import Monitor, parse_edid
from phyllome_seat.model.errors import EdidError

HEADER = bytes.fromhex("00ffffffffffff00")

# 1920x1080 at 148.5 MHz, blanking 280 and 45: CTA-861's picture 16.
FULL_HD = bytes.fromhex("023a801871382d40582c45000f282100001e")
# 3840x2160 at 533.25 MHz with reduced blanking, 160 and 62.
UHD = bytes.fromhex("4dd000a0f0703e8030203500582c2100001a")
# Full HD with 540 lines a field and the interlaced flag.
INTERLACED = bytes.fromhex("011d8018711c1620582c25000f282100009e")
UNUSED = bytes.fromhex("000000100000000000000000000000000000")


def text(tag: int, content: bytes) -> bytes:
    """One descriptor with text, terminated and padded as the standard asks."""
    return bytes([0, 0, 0, tag, 0]) + (content + b"\n").ljust(13)[:13]


def sealed(block: bytes) -> bytes:
    """127 bytes with the checksum that makes them a block."""
    return block + bytes([-sum(block) % 256])


def edid(
    maker: int = 0x10AC,
    product: int = 0xA0B1,
    serial_number: int = 0x01020304,
    *,
    week: int = 12,
    year: int = 30,
    version: int = 1,
    video_input: int = 0xA5,
    size: tuple[int, int] = (60, 34),
    descriptors: tuple[bytes, ...] = (FULL_HD, text(0xFF, b"8KTXF13"), text(0xFC, b"DELL U2720Q")),
    extensions: int = 0,
) -> bytes:
    block = HEADER + maker.to_bytes(2, "big") + product.to_bytes(2, "little")
    block += serial_number.to_bytes(4, "little") + bytes([week, year, version, 4])
    block += bytes([video_input, *size, 120, 0x3A]) + bytes(10) + bytes(3) + b"\x01" * 16
    block += b"".join((*descriptors, *[UNUSED] * (4 - len(descriptors)))) + bytes([extensions])
    return sealed(block)


def named(content: bytes, tag: int = 0xFC) -> Monitor:
    """A monitor whose text descriptor holds exactly these 13 bytes."""
    assert len(content) == 13
    return parse_edid(edid(descriptors=(FULL_HD, bytes([0, 0, 0, tag, 0]) + content)))


def test_a_base_block_says_all_that_a_monitor_has():
    assert parse_edid(edid()) == Monitor(
        maker="DEL",
        product=0xA0B1,
        serial_number=0x01020304,
        serial="8KTXF13",
        name="DELL U2720Q",
        week=12,
        year=2020,
        size_cm=(60, 34),
        preferred=(1920, 1080),
        digital=True,
    )


def test_what_a_monitor_leaves_out_is_none():
    monitor = parse_edid(edid(serial_number=0, week=0, size=(0, 0), descriptors=()))
    assert monitor == Monitor(maker="DEL", product=0xA0B1, year=2020)


def test_week_255_marks_the_year_as_one_of_a_model():
    monitor = parse_edid(edid(week=255, year=30))
    assert (monitor.week, monitor.year, monitor.model_year) == (None, None, 2020)


def test_an_aspect_ratio_is_no_size():
    assert parse_edid(edid(size=(79, 0))).size_cm is None
    assert parse_edid(edid(size=(0, 79))).size_cm is None


def test_an_analog_input_is_not_digital():
    assert not parse_edid(edid(video_input=0x0E)).digital


def test_a_preferred_mode_may_need_all_twelve_bits():
    assert parse_edid(edid(descriptors=(UHD,))).preferred == (3840, 2160)


def test_an_interlaced_picture_has_the_lines_of_both_fields():
    assert parse_edid(edid(descriptors=(INTERLACED,))).preferred == (1920, 1080)


def test_a_first_descriptor_that_is_no_timing_gives_no_preferred_mode():
    assert parse_edid(edid(descriptors=(text(0xFC, b"A"), FULL_HD))).preferred is None
    without_blanking = FULL_HD[:3] + b"\x00\x70" + FULL_HD[5:]
    assert parse_edid(edid(descriptors=(without_blanking,))).preferred is None


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"Dell\n        ", "Dell"),
        (b"Dell         ", "Dell"),
        (b"  Dell  27\n  ", "Dell  27"),
        (b"THIRTEENCHARS", "THIRTEENCHARS"),
        (b"Dell\nnoise   ", "Dell"),
        (b"Dell\x00noise\n  ", "Dell"),
        (b"Dell\r\n       ", "Dell"),
        (b"Dell\xff\xa0\n      ", "Dell"),
        (b"D\xe9ll\x1b[2J\n    ", "Dll[2J"),
        (b"\x7fDell\t\x07\n     ", "Dell"),
        (b"\x00\n           ", None),
        (b"             ", None),
        (b"\n            ", None),
    ],
)
def test_a_text_is_what_can_be_printed_before_its_end(content, name):
    assert named(content).name == name
    assert named(content, tag=0xFF).serial == name


def test_of_several_names_the_first_that_says_something_is_taken():
    names = (text(0xFC, b""), text(0xFC, b"Apple Cinema"), text(0xFC, b"Display"))
    assert parse_edid(edid(descriptors=names)).name == "Apple Cinema"


def test_a_text_in_an_extension_is_not_the_monitors_name():
    extension = sealed((b"\x02\x03\x04\x00" + text(0xFC, b"other")).ljust(127, b"\0"))
    data = edid(descriptors=(FULL_HD,), extensions=1) + extension
    assert parse_edid(data).name is None


@pytest.mark.parametrize("length", [0, 1, 8, 127])
def test_less_than_a_base_block_is_refused_with_its_length(length):
    with pytest.raises(EdidError, match=f"EDID of {length} bytes") as caught:
        parse_edid(edid()[:length])
    assert caught.value.hint


def test_a_block_that_does_not_start_as_an_edid_is_refused_with_what_it_starts_with():
    with pytest.raises(EdidError, match="starts with 00 ff ff ff ff ff fe 00"):
        parse_edid(b"\x00\xff\xff\xff\xff\xff\xfe\x00" + edid()[8:])


def test_a_wrong_checksum_is_a_warning_and_no_more():
    data = edid()
    broken = data[:127] + bytes([data[127] ^ 1])
    monitor = parse_edid(broken)
    assert monitor.warnings == ("wrong checksum in the base block",)
    assert dataclasses.replace(monitor, warnings=()) == parse_edid(data)


def test_each_broken_extension_is_named():
    good = sealed(b"\x02\x03".ljust(127, b"\0"))
    data = edid(extensions=4) + good + b"\x01" * 128 + good[:100]
    assert parse_edid(data).warnings == (
        "wrong checksum in extension 2",
        "2 of 4 extensions missing",
    )


def test_more_blocks_than_promised_are_no_fault():
    assert parse_edid(edid() + b"\x01" * 256).warnings == ()


def test_a_maker_that_is_not_three_letters_is_kept_with_a_warning():
    monitor = parse_edid(edid(maker=0x0002 | 8 << 5))
    assert monitor.maker == "@HB"
    assert monitor.warnings == ("maker @HB is not three letters",)


def test_an_unknown_version_is_read_with_a_warning():
    monitor = parse_edid(edid(version=2))
    assert monitor.maker == "DEL"
    assert monitor.warnings == ("EDID version 2.4 is not known, read as 1.4",)


def headed(body: bytes) -> bytes:
    return HEADER + body


@given(
    st.one_of(
        st.binary(max_size=600),
        st.binary(min_size=100, max_size=600).map(headed),
        st.lists(
            st.binary(min_size=13, max_size=13).flatmap(
                lambda content: st.sampled_from(
                    [b"\0\0\0\xfc\0" + content, b"\0\0\0\xff\0" + content]
                )
            ),
            max_size=4,
        ).map(lambda descriptors: edid(descriptors=tuple(descriptors))),
    )
)
def test_any_bytes_are_a_monitor_with_printable_texts_or_refused(data):
    try:
        monitor = parse_edid(data)
    except EdidError as error:
        assert len(data) < 128 or data[:8] != HEADER
        assert str(error)
    else:
        for said in (monitor.maker, monitor.name, monitor.serial, *monitor.warnings):
            assert said is None or (said.isascii() and said.isprintable() and said.strip() == said)
            assert said != ""
        hash(monitor)


@given(
    st.integers(0, 0x7FFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=13),
)
def test_what_a_base_block_was_built_of_is_read_back(maker, product, serial_number, serial):
    data = edid(maker, product, serial_number, descriptors=(text(0xFF, serial.encode()),))
    monitor = parse_edid(data)

    letters = [ord(letter) - ord("@") for letter in monitor.maker]
    assert letters[0] << 10 | letters[1] << 5 | letters[2] == maker
    assert monitor.product == product
    assert (monitor.serial_number or 0) == serial_number
    assert (monitor.serial or "") == serial


@given(st.integers(0, 255), st.binary(max_size=700))
def test_broken_extensions_leave_maker_product_and_serial(promised, extensions):
    alone = parse_edid(edid())
    monitor = parse_edid(edid(extensions=promised) + extensions)
    assert dataclasses.replace(monitor, warnings=()) == alone
