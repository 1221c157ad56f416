"""The host's CPUs for a created guest's: written, held against the PC, put into its definition."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phyllome_seat.model.assign import assign
from phyllome_seat.model.check import check
from phyllome_seat.model.cores import parse_cpus, render_cpus
from phyllome_seat.model.devices import Guest
from phyllome_seat.model.domain_xml import parse_domain, render_domain
from phyllome_seat.model.errors import AssignmentError, SeatFileError
from phyllome_seat.model.guest_new import render_new_guest
from phyllome_seat.model.guest_pin import find_pins
from phyllome_seat.model.guest_size import resize_guest
from phyllome_seat.model.plan import plan
from phyllome_seat.model.proposal import NoProposalError, ProposalWishes
from phyllome_seat.model.propose import propose
from phyllome_seat.model.seat import NewGuest, Seat, Wish
from phyllome_seat.model.seat_file import parse_wish, render_wish
from phyllome_seat.model.step import ResizeGuest
from tests.model.hosts import two_seat_pc
from tests.model.machines import machines
from tests.model.test_cores import pc

UUID = "6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a77"


def text(pin, cpus=4):
    return (
        "version: 1\nseats:\n  left:\n    guest:\n      create:\n        name: left\n"
        f"        cpus: {cpus}\n        memory: 4GiB\n        pin: {pin}\n"
    )


def guest(*pin, name="left", line=0):
    return NewGuest(name, 4 << 30, len(pin) or 4, pin=pin, pin_line=line)


def wish(*guests, host_cpus=None):
    seats = tuple(Seat(g.name, create=g) for g in guests)
    return Wish(seats, host_cpus=host_cpus, file="f")


def refusals(wanted, host):
    with pytest.raises(AssignmentError) as caught:
        assign(wanted, host)
    return caught.value.conflicts


@pytest.mark.parametrize(
    ("written", "cpus", "pin"),
    [
        ("4-7", 4, (4, 5, 6, 7)),
        ('"4-5,12-13"', 4, (4, 5, 12, 13)),
        ('"12,4"', 2, (12, 4)),
        ("0", 1, (0,)),
    ],
)
def test_a_list_of_cpus_is_read_in_its_order_and_written_back(written, cpus, pin):
    read = parse_wish(text(written, cpus), "f")

    assert read.seats[0].create.pin == pin
    again = parse_wish(render_wish(read), "f")
    assert again.seats[0].create.pin == pin


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("4-6", "expected as many CPUs as `cpus` says (4), found 3"),
        ("7-4", "numbers of the host's CPUs, each once (4-7,12-15), found '7-4'"),
        ('"4,5,5,6"', "each once"),
        ("four", "numbers of the host's CPUs"),
        ("4-99999", "numbers of the host's CPUs"),
        ("[4, 5]", "numbers of the host's CPUs, each once (4-7,12-15), found a list"),
    ],
)
def test_a_list_that_is_none_is_refused_with_its_line(written, words):
    with pytest.raises(SeatFileError) as caught:
        parse_wish(text(written), "f")

    assert (caught.value.line, caught.value.key) == (9, "seats.left.guest.create.pin")
    assert words in str(caught.value)


def test_a_guest_that_exists_is_pinned_by_its_owner_alone():
    file = "version: 1\nseats:\n  left:\n    guest: {domain: win11, pin: 4-7}\n"

    with pytest.raises(SeatFileError, match="expected one of domain, create, found 'pin'"):
        parse_wish(file)


@given(st.lists(st.integers(0, 9999), unique=True, min_size=1, max_size=40))
def test_cpu_numbers_are_written_and_read_as_the_same_in_their_order(numbers):
    assert parse_cpus(render_cpus(tuple(numbers))) == tuple(numbers)


@given(st.text(max_size=12) | st.from_regex("[0-9,-]{0,12}"))
def test_any_text_is_a_list_of_cpus_or_none(content):
    numbers = parse_cpus(content)

    assert numbers is None or len(set(numbers)) == len(numbers) > 0


# ── the PC ──────────────────────────────────────────────────────────────────────────────────────


def test_a_cpu_that_is_not_there_or_offline_is_refused_with_those_that_are():
    host = pc(8)
    host = replace(host, cpus=tuple(replace(c, online=c.number != 5) for c in host.cpus))

    assert refusals(wish(guest(4, 5, line=9)), host) == (
        "CPU 5 of seat left is offline: this PC has 0-4,6-7: pin others (f:9)",
    )
    assert refusals(wish(guest(7, 8, 9)), host) == (
        "CPU 8-9 of seat left is not in this PC: this PC has 0-4,6-7: pin others",
    )


def test_a_cpu_of_two_seats_is_refused_for_both():
    wanted = wish(guest(2, 3, 4), guest(3, 4, 5, name="right", line=12))

    assert refusals(wanted, pc(8)) == (
        "CPU 3-4 is pinned by seat left and by seat right: give it to one of them (f:12)",
    )


@pytest.mark.parametrize(("kept", "fits"), [(None, True), (2, True), (3, False)])
def test_the_host_keeps_its_cpus(kept, fits):
    wanted = wish(guest(2, 3), guest(4, 5, name="right"), host_cpus=kept)

    if fits:
        assert assign(wanted, pc(6))
    else:
        assert "pin all CPUs but 2, and the host keeps 3" in refusals(wanted, pc(6))[0]
    assert "pin all CPUs but 0" in refusals(wish(guest(*range(6))), pc(6))[0]


def test_siblings_that_are_parted_are_said_and_not_refused():
    host = pc(4, threads=2)
    wanted = wish(guest(2, 3, 4), guest(5, 6, name="right"))

    left, right = assign(wanted, host).seats
    warned = [f.words for f in check(host, wanted) if f.severity == "warning"]

    (parted,) = left.notes
    assert parted.startswith("CPU 4 is pinned without its whole core, its sibling 5 is seat right")
    assert [note.partition(" is ")[0] for note in right.notes] == ["CPU 5", "CPU 6"]
    assert "its sibling 7 is the host's" in right.notes[1]
    assert {parted, *right.notes} <= set(warned)
    assert assign(wish(guest(2, 3, 4, 5)), host).seats[0].notes == ()


def test_a_pc_that_does_not_say_its_cpus_refuses_none():
    assert assign(wish(guest(400, 401)), replace(pc(1), cpus=()))


# ── the definition ──────────────────────────────────────────────────────────────────────────────


def made(*pin):
    return render_new_guest("left", guest(*pin), (), UUID)


def tuning(xml):
    tune = parse_domain(xml).find("cputune")
    return [] if tune is None else [(e.tag, e.get("vcpu"), e.get("cpuset")) for e in tune]


def test_each_virtual_cpu_is_on_its_own_and_qemus_threads_are_on_all_of_them():
    assert tuning(made(12, 4, 5)) == [
        ("vcpupin", "0", "12"),
        ("vcpupin", "1", "4"),
        ("vcpupin", "2", "5"),
        ("emulatorpin", None, "4-5,12"),
    ]
    tags = [element.tag for element in parse_domain(made(4))]
    assert tags[tags.index("vcpu") + 1] == "cputune"
    assert tuning(made()) == []


@pytest.mark.parametrize(("before", "after"), [((), (4, 5)), ((4, 5), (8, 9)), ((4, 5), ())])
def test_other_pins_are_planned_once_and_are_what_a_new_guest_would_have(before, after):
    old, new = replace(guest(*before), cpus=2), replace(guest(*after), cpus=2)
    xml = render_new_guest("left", old, (), UUID)
    host = replace(two_seat_pc(), guests=(Guest("left", UUID, created=True, seat="left", xml=xml),))
    assignment = assign(wish(new), host)

    (step,) = [s for s in plan(assignment, host) if isinstance(s, ResizeGuest)]
    changed = resize_guest(xml, new)

    assert "pinned to " in str(step)
    assert tuning(changed) == tuning(render_new_guest("left", new, (), UUID))
    done = replace(host, guests=(replace(host.guests[0], xml=changed),))
    assert not any(isinstance(s, ResizeGuest) for s in plan(assign(wish(new), done), done))
    assert resize_guest(changed, new) == changed


def test_what_the_owner_tuned_stays_and_pins_of_the_owners_own_are_not_ours_to_take():
    xml = made().replace("<features>", "<cputune><shares>99</shares></cputune><features>")
    own = xml.replace("</shares>", "</shares><vcpupin vcpu='0' cpuset='1-3'/>")

    pinned = resize_guest(xml, guest(4, 5, 6, 7))

    assert ("shares", None, None) in tuning(pinned)
    assert [t[0] for t in tuning(resize_guest(pinned, guest()))] == ["shares"]
    assert find_pins(parse_domain(own)) == ()
    assert resize_guest(own, guest()) == own
    assert ("vcpupin", "0", "1-3") not in tuning(resize_guest(own, guest(4, 5, 6, 7)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('cpuset="4"', 'cpuset="4-6"'),
        ('cpuset="4-7"', 'cpuset="0"'),
        ('<vcpupin vcpu="3"', '<vcpupin vcpu="9"'),
    ],
)
def test_pins_of_ours_that_somebody_changed_are_put_right(old, new):
    xml = render_domain(parse_domain(made(4, 5, 6, 7)))
    assert old in xml
    changed = xml.replace(old, new)

    assert tuning(resize_guest(changed, guest(4, 5, 6, 7))) == tuning(xml)


# ── what is proposed ────────────────────────────────────────────────────────────────────────────


def test_a_proposal_pins_the_cores_of_one_cache_for_each_seat():
    host = replace(two_seat_pc(), cpus=pc(16, threads=2, l3=8).cpus)

    (first, *_) = propose(host, ProposalWishes(count=2))

    pins = [seat.create.pin for seat in first.wish.seats]
    assert all(
        len(pin) == seat.create.cpus for pin, seat in zip(pins, first.wish.seats, strict=True)
    )
    assert all(len({cpu // 16 for cpu in pin}) == 1 for pin in pins)
    assert all(cpu ^ 1 in pin for pin in pins for cpu in pin)
    assert not any("pin" in words for words in first.others)


def test_a_pc_with_one_core_for_all_gets_a_proposal_that_pins_none():
    host = replace(two_seat_pc(), cpus=pc(1).cpus)

    (first, *_) = propose(host, ProposalWishes(count=1))

    assert [(seat.create.cpus, seat.create.pin) for seat in first.wish.seats] == [(1, ())]


@settings(suppress_health_check=list(HealthCheck), max_examples=40)
@given(machines(min_cards=1), st.integers(1, 3))
def test_whatever_is_proposed_pins_what_is_free_whole_and_as_much_as_it_gives(host, count):
    try:
        found = propose(host, ProposalWishes(count=count))
    except NoProposalError:
        return
    for proposal in found:
        pinned = [n for seat in proposal.wish.seats if seat.create for n in seat.create.pin]
        assert len(set(pinned)) == len(pinned)
        assert all(
            len(seat.create.pin) in (0, seat.create.cpus)
            for seat in proposal.wish.seats
            if seat.create
        )
        notes = [note for seat in assign(proposal.wish, host).seats for note in seat.notes]
        assert not any("sibling" in note for note in notes)
