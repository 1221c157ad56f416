"""A created guest's size changed in its definition, and what cannot change refused."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.assign import assign
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.guest import parse_guest
from phyllome_seat.model.guest_edit import needs_edit
from phyllome_seat.model.guest_new import render_new_guest
from phyllome_seat.model.guest_size import GuestSize, find_size, find_unchangeable, resize_guest
from phyllome_seat.model.seat import NewGuest, Seat, Wish
from tests.model.domains import OWNERS_GUEST
from tests.model.hosts import two_seat_pc
from tests.model.test_guest import SEAT

GIB = 2**30
NEW = NewGuest("left", 8 * GIB, 4, disk_path="/disks/left.qcow2", disk_bytes=64 * GIB)
XML = render_new_guest("left", NEW, SEAT, "6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a01")
LARGER = replace(NEW, memory_bytes=16 * GIB, cpus=8)


def element(xml: str, path: str) -> ElementTree.Element:
    found = ElementTree.fromstring(xml).find(path)
    assert found is not None, path
    return found


def test_a_new_guest_is_as_large_as_the_file_says():
    assert find_size(XML) == GuestSize(8 * GIB, 4)
    assert resize_guest(XML, NEW) == XML


def test_memory_and_cpus_change_and_nothing_else():
    larger = resize_guest(XML, LARGER)

    assert find_size(larger) == GuestSize(16 * GIB, 8)
    assert resize_guest(larger, LARGER) == larger
    assert not needs_edit(larger, "left", SEAT)
    as_made = render_new_guest("left", LARGER, SEAT, "6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a01")
    assert ElementTree.canonicalize(larger) == ElementTree.canonicalize(as_made)


def test_less_than_a_mib_is_no_difference():
    assert find_size(XML).holds(replace(NEW, memory_bytes=8 * GIB - 1))
    assert not find_size(XML).holds(replace(NEW, memory_bytes=8 * GIB + 1))


def test_what_its_owner_put_into_a_created_guest_stays():
    theirs = (
        XML.replace("<vcpu>4</vcpu>", '<vcpu placement="static" cpuset="2-5">4</vcpu>')
        .replace('cores="4" threads="1"', 'cores="2" threads="2"')
        .replace("</memory>", '</memory><currentMemory unit="KiB">1048576</currentMemory>')
        .replace("<devices>", '<title>Mine</title><devices><sound model="ich9"/>')
    )

    larger = resize_guest(theirs, LARGER)

    assert element(larger, "vcpu").attrib == {"placement": "static", "cpuset": "2-5"}
    assert element(larger, "cpu/topology").attrib == {"sockets": "1", "cores": "4", "threads": "2"}
    assert element(larger, "currentMemory").text == "1048576"
    assert element(larger, "devices/sound").get("model") == "ich9"


def test_what_a_guest_has_at_first_goes_where_it_was_all_or_is_too_much_now():
    current = '</memory><currentMemory unit="KiB">{}</currentMemory>'
    all_of_it, most_of_it = (
        XML.replace("</memory>", current.format(kib)).replace("<vcpu>", f'<vcpu current="{cpus}">')
        for kib, cpus in ((8 * 2**20, 4), (6 * 2**20, 2))
    )

    for xml, new in ((all_of_it, LARGER), (most_of_it, replace(NEW, memory_bytes=4 * GIB, cpus=1))):
        changed = resize_guest(xml, new)
        assert "currentMemory" not in changed
        assert find_size(changed).holds(new)
    assert element(resize_guest(all_of_it, LARGER), "vcpu").get("current") == "4"
    assert element(resize_guest(most_of_it, replace(NEW, cpus=1)), "vcpu").attrib == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</cpu>", "<numa><cell id='0' cpus='0-3' memory='8388608'/></numa></cpu>", "NUMA cells"),
        ("<os ", "<vcpus><vcpu id='0' enabled='yes'/></vcpus><os ", "CPUs one by one"),
        ('cores="4" threads="1"', 'cores="1" threads="4"', "6 is none: write a multiple of 4, or"),
    ],
)
def test_a_size_that_its_owners_edit_does_not_allow_is_refused(old, new, words):
    theirs = XML.replace(old, new, 1)

    (sentence,) = find_unchangeable(theirs, replace(NEW, cpus=6))

    assert words in sentence
    assert "`virsh edit left`" in sentence
    assert find_unchangeable(theirs, NEW) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"firmware": "bios"},
            "guest left was made with firmware efi, and what is installed in it starts by that "
            "only: write `firmware: efi`, or let it be made anew (`virsh undefine --nvram left`; "
            "no disk is removed)",
        ),
        (
            {"disk_path": "/disks/other.qcow2"},
            "guest left has disk /disks/left.qcow2, not /disks/other.qcow2, and a guest that "
            "exists keeps its disk: write `path: /disks/left.qcow2`, or let it be made anew "
            "(`virsh undefine --nvram left`; no disk is removed)",
        ),
    ],
)
def test_what_cannot_change_is_refused_with_the_line_and_the_way_out(changes, words):
    guest = parse_guest(XML, state="shut off")
    host = replace(two_seat_pc(), guests=(guest,))
    wish = Wish(seats=(Seat("left", create=replace(NEW, **changes), line=2, guest_line=3),))

    with pytest.raises(AssignmentError) as refusal:
        assign(wish, host)

    assert refusal.value.conflicts == (f"{words} (seats.yaml:3)",)


def test_a_disk_that_is_no_longer_in_the_file_or_one_its_owner_added_is_no_difference():
    more = XML.replace(
        "<devices>", "<devices><disk type='block' device='disk'><source dev='/dev/vg/b'/></disk>"
    )

    assert find_unchangeable(XML, replace(NEW, disk_path=None, disk_bytes=None)) == ()
    assert find_unchangeable(more, NEW) == ()
    assert find_unchangeable(more, replace(NEW, disk_path="/dev/vg/b")) == ()


def test_firmware_is_known_as_libvirt_writes_it_too():
    by_path = XML.replace(' firmware="efi"', "").replace(
        '<loader stateless="no" />', "<loader type='pflash'>/usr/share/OVMF/CODE.fd</loader>"
    )
    assert find_unchangeable(by_path, NEW) == ()
    bios = render_new_guest("left", replace(NEW, firmware="bios"), (), "u")
    (sentence,) = find_unchangeable(bios, NEW)
    assert "`firmware: bios`" in sentence
    assert "--nvram" not in sentence


@given(st.integers(1, 2**31), st.integers(1, 512), st.sampled_from([XML, OWNERS_GUEST]))
def test_any_size_is_reached_in_one_step(kib, cpus, xml):
    new = replace(NEW, memory_bytes=kib * 1024, cpus=cpus)

    resized = resize_guest(xml, new)

    assert find_size(resized).holds(new)
    assert resize_guest(resized, new) == resized


@given(st.text("0123456789 -+x²٣", max_size=6))
def test_a_definition_with_odd_numbers_is_still_read(text):
    odd = XML.replace(">8388608<", f">{text}<").replace('cores="4"', f'cores="{text}"')

    assert find_size(odd).cpus == 4
    assert find_size(resize_guest(odd, LARGER)).holds(LARGER)
