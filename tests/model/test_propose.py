"""What `propose` promises, on generated machines and on the PC that one knows by heart."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.assign import assign
from phyllome_seat.model.climb import plain_id, port_match
from phyllome_seat.model.devices import Guest, Hostdev
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.given_up import name_given_up
from phyllome_seat.model.groups import is_harmless
from phyllome_seat.model.keyboards import is_typed_on
from phyllome_seat.model.need import has_left
from phyllome_seat.model.plan import plan
from phyllome_seat.model.pool import Pool
from phyllome_seat.model.pool_cards import find_cards
from phyllome_seat.model.pool_usb import find_wholes
from phyllome_seat.model.proposal import NoProposalError, ProposalWishes, SeatWishes
from phyllome_seat.model.proposal_text import render_proposal
from phyllome_seat.model.propose import find_best, propose
from phyllome_seat.model.protect import can_show, protect
from phyllome_seat.model.seat import PciMatch, PortMatch, Seat, Wish
from phyllome_seat.model.seat_file import parse_wish, render_wish
from phyllome_seat.model.value import replace
from tests.model.hosts import (
    HOST_GPU,
    HOST_USB,
    LEFT_GPU,
    LEFT_USB,
    RIGHT_GPU,
    RIGHT_USB,
    WIN11_XML,
    address,
    bound,
    port,
    two_seat_pc,
    with_function,
    with_pci,
)
from tests.model.machines import machines
from tests.model.test_wishes_machines import disks_below, kept_for_disks

_MANY = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    max_examples=150,
)


def check_promises(host, proposal):
    """All that a proposal must hold, as the text that a person keeps."""
    wish = proposal.wish
    again = parse_wish(render_proposal((proposal,)))
    assert render_wish(again) == render_wish(wish)
    assert list(map(str, steps(again, host))) == list(map(str, steps(wish, host)))
    check_wish(host, wish)


def steps(wish, host):
    return plan(assign(wish, host), host)  # raises where either refuses it


def check_wish(host, wish):
    """All that an accepted wish must hold, found out without the code that accepted it."""
    assignment = assign(wish, host)
    gone = set(assignment.addresses)
    ports = {p for seat in assignment.seats for p in seat.ports}
    owner = {a: seat.seat.name for seat in assignment.seats for a in seat.addresses}
    for group in {host.by_address[a].iommu_group for a in gone}:
        members = host.groups[group]
        assert len({owner[d.address] for d in members if d.address in gone}) == 1, (
            "a group is split"
        )
        before = {kept.address: kept.driver for kept in host.before}
        for member in members:
            driver = before.get(member.address, member.driver)
            assert member.address in gone or is_harmless(driver), "half a group stays"
    for seat in assignment.seats:
        card = next((a for a in seat.addresses if host.by_address[a].is_gpu), None)
        if card:
            board = host.functions_of(card)
            if not any(d.class_code >> 8 == 0x1080 for d in board):
                assert {d.address for d in board if not d.is_bridge} <= set(seat.addresses)
    fixed = protect(host)
    for place, reasons in fixed.pci.items():
        if any(not reason.waivable for reason in reasons):
            assert place not in gone, reasons
    assert not gone & kept_for_disks(host)
    disks = [disk for mount in host.mounts for disk in disks_below(host, mount.device)]
    for place in (disk.usb for disk in disks if disk and disk.usb):
        assert not any(place == p or place.is_below(p) for p in ports)
    for place, reasons in fixed.usb.items():
        if any(not reason.waivable for reason in reasons):
            assert not any(place == p or place.is_below(p) for p in ports), reasons
    if wish.console == "keep":
        assert not wish.gives_up
        check_console(host, gone, ports)
    else:
        named = replace(wish, console="keep")  # each device is named: the one word is not needed
        assert assign(named, host).addresses == assignment.addresses


def check_console(host, gone, ports):
    screens = [d for d in host.pci if d.is_gpu and can_show(host, d)]
    assert not screens or any(d.address not in gone for d in screens)
    assert host.console.gpu not in gone
    keyboards = [i for i in host.inputs if is_typed_on(i)]
    left = [
        i
        for i in keyboards
        if i.pci not in gone and not any(i.usb and (i.usb == p or i.usb.is_below(p)) for p in ports)
    ]
    assert left or not keyboards


def check_refusal(error):
    assert str(error).startswith("nothing fits for ")
    assert all("\n" not in way for way in error.ways)


@_MANY
@given(machines(min_cards=1))
def test_every_proposal_keeps_every_promise(host):
    try:
        proposals = propose(host)
    except NoProposalError as error:
        check_refusal(error)
        assert find_best(host, ProposalWishes()) is None
        return
    assert find_best(host, ProposalWishes()) == proposals[0]
    for proposal in proposals:
        check_promises(host, proposal)
    assert [p.points for p in proposals] == sorted(p.points for p in proposals)
    assert not proposals[0].lost
    assert all(other.lost for other in proposals[1:])


@st.composite
def wanted(draw):
    """A machine, and what a person may write for it: cards, controllers and sockets at will."""
    host = draw(machines(min_cards=1))
    gpus = [PciMatch(d.address, plain_id(d)) for d in host.pci if d.is_gpu]
    usb = [PciMatch(d.address, plain_id(d)) for d in host.pci if d.is_usb_controller]
    ports = dict.fromkeys(device.port for device in host.usb if device.port)
    usb += [port_match(host.by_address[port.controller], (port,)) for port in ports]
    seats = tuple(
        Seat(
            name,
            gpu=draw(st.sampled_from((None, *gpus))),
            usb=tuple(draw(st.lists(st.sampled_from(usb), max_size=2))) if usb else (),
        )
        for name in ("left", "middle", "right")[: draw(st.integers(1, 3))]
    )
    return host, Wish(seats, console=draw(st.sampled_from(("keep", "none"))))


@settings(_MANY, max_examples=400)
@given(wanted())
def test_what_is_accepted_of_whatever_is_asked_for_leaves_the_host_what_it_needs(case):
    host, wish = case
    console = host.by_address.get(host.console.gpu)
    assume(console is None or not has_left(console))  # one with a guest shows the host nothing
    try:
        steps(wish, host)
    except AssignmentError:
        return
    check_wish(host, name_given_up(host, wish) if wish.console == "none" else wish)


def test_what_shares_the_group_of_the_card_with_the_console_is_not_offered():
    """Without a driver that card blocks nobody's group, and the console would go with it."""
    host = two_seat_pc()
    console = address(HOST_GPU)
    mates = {console, address(LEFT_GPU), address(LEFT_USB)}
    host = replace(
        host,
        pci=tuple(
            replace(d, iommu_group=90, driver=None if d.address == console else d.driver)
            if d.address in mates
            else d
            for d in host.pci
        ),
    )
    pool = Pool(host, keeps_console=True)
    cards, no_cards = find_cards(pool, Seat("any"))
    wholes, no_wholes = find_wholes(pool, Seat("any"), cards)

    offered = {a for choice in (*cards, *wholes) for a in choice.functions}
    assert not mates & offered
    said = f"shares group 90 with {HOST_GPU}, the card that shows the host's console"
    assert any(words.endswith(said) for words in no_cards)
    assert len(no_cards) + len(no_wholes) >= len(mates)

    cards, _ = find_cards(Pool(host, keeps_console=False), Seat("any"))
    assert address(LEFT_GPU) in {card.gpu.address for card in cards}


def test_a_card_that_could_be_shared_is_named_and_not_proposed():
    host = two_seat_pc()
    host = with_function(host, LEFT_GPU, vfs_max=7)

    for proposal in propose(host):
        (said,) = (words for words in proposal.others if "SR-IOV" in words)
        assert f"{LEFT_GPU} could be shared by 7 seats" in said and "cannot set up" in said


@st.composite
def asked(draw):
    host = draw(machines(min_cards=1))
    gpus = [d.address for d in host.pci if d.is_gpu]
    places = [d.port for d in host.usb] or [None]
    one = SeatWishes(
        "left",
        gpu=draw(st.sampled_from((None, *gpus))),
        ports=tuple(p for p in (draw(st.sampled_from(places)),) if p and draw(st.booleans())),
        is_virtual=draw(st.integers(0, 3)) == 0,
    )
    two = SeatWishes("right", is_virtual=draw(st.integers(0, 3)) == 0)
    count = draw(st.sampled_from((None, 2, 3)))
    console = draw(st.sampled_from(("keep", "none")))
    return host, ProposalWishes((one, two), count, console)


@_MANY
@given(asked())
def test_what_is_asked_for_is_kept_and_the_promises_are_too(case):
    host, wishes = case
    try:
        proposals = propose(host, wishes)
    except NoProposalError as error:
        check_refusal(error)
        return
    for proposal in proposals:
        check_promises(host, proposal)
        left, *_ = proposal.wish.seats
        pin = wishes.seats[0]
        assert len(proposal.wish.seats) == max(2, wishes.count or 0)
        assert proposal.wish.console == wishes.console
        if pin.is_virtual:
            assert left.gpu is None
        elif pin.gpu:
            assert left.gpu.address == pin.gpu
        assert all(reaches(host, proposal, place) for place in pin.ports)


def reaches(host, proposal, place):
    left = assign(proposal.wish, host).seats[0]
    inside = any(place == p or place.is_below(p) for p in left.ports)
    return inside or place.controller in left.addresses


def proposed(host=None, **wishes):
    return propose(host or two_seat_pc(), ProposalWishes(**wishes))


def gpus(proposal):
    return [str(seat.gpu.address) for seat in proposal.wish.seats]


def matches(seat):
    return [m if isinstance(m, PortMatch) else str(m.address) for m in seat.usb]


def test_two_cards_beside_the_hosts_are_two_seats_with_a_controller_each():
    best, *others = proposed()

    assert [seat.name for seat in best.wish.seats] == ["left", "right"]
    assert gpus(best) == [LEFT_GPU, RIGHT_GPU]
    assert [matches(seat) for seat in best.wish.seats] == [[LEFT_USB], [RIGHT_USB]]
    assert best.points == 0
    assert best.wish.seats[0].monitor.name == "DELL U2720Q"
    assert others
    assert all(other.points > 0 for other in others)


def test_a_keyboard_that_is_named_brings_its_controller():
    seats = (SeatWishes("left", ports=(port(f"{RIGHT_USB}/usb2/1"),)), SeatWishes("right"))

    best, *_ = proposed(seats=seats)

    assert matches(best.wish.seats[0]) == [RIGHT_USB]
    assert matches(best.wish.seats[1]) == [LEFT_USB]


def test_a_keyboard_beside_the_hosts_is_given_by_its_hub():
    hub = f"{HOST_USB}/usb2/4"
    pins = (port(f"{hub}.1"), port(f"{hub}.2"))
    seats = (SeatWishes("left", ports=pins), SeatWishes("right"))

    best, *_ = proposed(seats=seats)

    (match,) = best.wish.seats[0].usb
    assert match == PortMatch(address(HOST_USB), match.id, (4,), (14,))


def test_the_only_keyboard_keeps_its_controller_for_the_host_and_a_seat_gets_sockets():
    host = two_seat_pc()
    only = replace(
        host,
        usb=tuple(d for d in host.usb if d.port.controller == address(HOST_USB)),
        inputs=host.inputs[:1],
        sockets=tuple(s for s in host.sockets if s.ports[0].controller == address(HOST_USB)),
    )
    only = with_pci(only, lambda d: None if str(d.address) in (LEFT_USB, RIGHT_USB) else d)

    best, *_ = proposed(only, count=2)

    for seat in best.wish.seats:
        assert seat.usb
        assert all(isinstance(match, PortMatch) for match in seat.usb)
        assert all(match.usb2 != (1,) for match in seat.usb)


def test_the_monitor_that_is_named_chooses_the_card():
    from phyllome_seat.model.seat import MonitorMatch

    seats = (SeatWishes("left", monitor=MonitorMatch(name="ROG PG279Q")), SeatWishes("right"))

    assert gpus(proposed(seats=seats)[0]) == [RIGHT_GPU, LEFT_GPU]


def test_a_seat_that_needs_no_card_leaves_it_to_the_others():
    best, *_ = proposed(seats=(SeatWishes("left", is_virtual=True), SeatWishes("right")))

    assert best.wish.seats[0].gpu is None
    assert best.wish.seats[0].usb
    assert best.wish.seats[1].gpu is not None


def test_a_controller_in_the_disks_group_is_refused_by_the_disk_it_shares_with():
    host = with_function(two_seat_pc(), "0000:00:17.0", iommu_group=15, class_code=0x010802)

    best, *_ = proposed(host)

    assert (
        f"controller {RIGHT_USB} (FL1100 USB 3.0) shares group 15 with your NVMe disk "
        "0000:00:17.0, which holds / (ext4 on sda1)"
    ) in best.refused
    assert RIGHT_USB not in [m for seat in best.wish.seats for m in matches(seat)]


def test_three_seats_need_what_this_pc_has_not_and_it_is_said_what():
    with pytest.raises(NoProposalError) as caught:
        proposed(count=3)

    ways = "\n".join(caught.value.ways)
    assert "`--console none`" in ways
    assert "`--seat right:virtio`" in ways
    assert "one graphics card more" in ways
    assert "set up 2 of the seats" in ways
    assert "USB card" not in ways


def test_a_pc_without_iommu_groups_is_told_to_turn_it_on():
    host = with_pci(two_seat_pc(), lambda d: replace(d, iommu_group=None))

    with pytest.raises(NoProposalError) as caught:
        proposed(host)

    assert caught.value.ways[0].startswith("the IOMMU is there but off: turn on VT-d")


def test_a_board_without_a_free_controller_is_told_of_a_usb_card():
    host = two_seat_pc()
    bare = replace(host, usb=(), inputs=(), sockets=())
    bare = with_function(bare, LEFT_USB, driver=None, iommu_group=5)
    bare = with_function(bare, RIGHT_USB, driver=None, iommu_group=5)
    bare = with_function(bare, HOST_USB, iommu_group=5)

    with pytest.raises(NoProposalError) as caught:
        proposed(bare, count=1)

    assert any("about 10 euro" in way for way in caught.value.ways)


def test_a_card_beside_the_disk_is_told_to_move_to_another_slot():
    host = with_function(two_seat_pc(), "0000:00:17.0", iommu_group=12)

    with pytest.raises(NoProposalError) as caught:
        proposed(host, count=2)

    assert any(way.startswith(f"put card {RIGHT_GPU}") for way in caught.value.ways)


def test_a_pc_that_is_set_up_already_gets_the_same_proposal():
    host = two_seat_pc()
    before, *_ = proposed(host)
    seats = {
        seat.seat.name: tuple(map(str, seat.addresses)) for seat in assign(before.wish, host).seats
    }

    after, *_ = proposed(bound(host, seats))

    assert render_wish(after.wish) == render_wish(before.wish)


def running(host, wish):
    """The machine after `apply` and `start`: what the seats have is with guests that run."""
    seats = assign(wish, host).seats
    bare = bound(host, {seat.seat.name: tuple(map(str, seat.addresses)) for seat in seats})
    guests = tuple(
        Guest(
            seat.seat.guest_name,
            f"6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1b{number:02}",
            "running",
            seat=seat.seat.name,
            created=True,
            hostdevs=tuple(
                Hostdev(pci=place, alias=f"ua-phyllome-{seat.seat.name}-gpu-{n}", live=is_live)
                for n, place in enumerate(seat.addresses)
                for is_live in (False, True)
            ),
            xml=WIN11_XML,
        )
        for number, seat in enumerate(seats)
    )
    others = [g for g in host.guests_known if g.name not in {guest.name for guest in guests}]
    return replace(bare, guests=(*(replace(g, xml=WIN11_XML) for g in others), *guests))


def test_what_runs_is_proposed_again_and_what_would_take_from_it_says_to_stop_it():
    best, *_ = proposed()
    host = running(two_seat_pc(), best.wish)

    again, *_ = proposed(host)

    assert gpus(again) == gpus(best)
    assert steps(again.wish, host) is not None
    twin = replace(host.guests[-1], name="copy")
    odd = replace(host.guests[-1], name="odd", hostdevs=(), seat="<&>\n")
    marked = replace(host, guests=(*host.guests, twin, odd))
    with suppress(NoProposalError):
        check_promises(marked, proposed(marked)[0])
    with pytest.raises(NoProposalError) as caught:
        proposed(host, count=1)
    assert "`phyllome-seat stop right`" in " ".join(caught.value.reasons)


@settings(_MANY, max_examples=40)
@given(machines(min_cards=1))
def test_no_plan_refuses_what_is_proposed_while_guests_run(host):
    best = find_best(host, ProposalWishes())
    if best is None:
        return
    host = running(host, best.wish)
    for wishes in (
        ProposalWishes(),
        ProposalWishes(count=1),
        ProposalWishes(count=2, console="none"),
        ProposalWishes((SeatWishes("right"), SeatWishes("left", is_virtual=True))),
    ):
        try:
            proposals = propose(host, wishes)
        except NoProposalError as error:
            check_refusal(error)
            continue
        for proposal in proposals:
            assert steps(parse_wish(render_proposal((proposal,))), host) is not None


def test_a_guest_of_somebody_else_keeps_its_name():
    host = replace(two_seat_pc(), guests=(Guest("left", "6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a01"),))

    best, *_ = proposed(host)

    assert best.wish.seats[0].create.name == "left-2"


def test_the_boot_card_stays_until_it_is_said_that_it_may_go():
    kept, *_ = proposed()
    given, *_ = proposed(console="none", count=3)

    assert "0000:00:02.0" not in gpus(kept)
    assert "0000:00:02.0" in gpus(given)
    assert kept.gives_up == kept.wish.gives_up == ()
    assert [str(named.address) for named in given.wish.gives_up] == [HOST_GPU, LEFT_GPU, RIGHT_GPU]
    last = "is the last card that can show the host's console"
    assert given.gives_up == (
        f"{HOST_GPU} (UHD Graphics 770), which shows the host's console",
        f"{LEFT_GPU} (GeForce RTX 4070), which {last}",
        f"{RIGHT_GPU} (Radeon RX 7800 XT), which {last}",
    )


def with_desktop(host, *gpus):
    """Somebody at a desktop that shows on these cards."""
    seen = tuple(replace(c, enabled=str(c.gpu) in gpus) for c in host.connectors)
    console = replace(host.console, sessions=("seat0: alice on tty2",))
    return replace(host, connectors=seen, console=console)


def test_a_card_that_a_desktop_may_have_is_proposed_with_just_that_against_it():
    idle, *_ = proposed()

    best, *_ = proposed(with_desktop(two_seat_pc(), HOST_GPU, RIGHT_GPU))

    assert render_wish(best.wish) == render_wish(idle.wish)
    left, right = best.seats
    assert not left.drawbacks
    (words,) = right.drawbacks
    assert words.startswith(f"{RIGHT_GPU} shows a picture on DP-3 and somebody is logged in (seat0")
    assert "log out of that desktop before `apply`" in words
    assert f"but: {words}" in render_proposal((best,))


def test_the_hosts_own_card_is_given_up_with_the_desktop_on_it_said():
    best, *_ = proposed(with_desktop(two_seat_pc(), HOST_GPU), console="none", count=3)

    (seat,) = (s for s in best.wish.seats if str(s.gpu.address) == HOST_GPU)
    drawbacks = next(s.drawbacks for s in best.seats if s.name == seat.name)
    assert any("alice on tty2" in words for words in drawbacks)


def test_where_nobody_is_logged_in_a_picture_is_nothing_against_a_card():
    host = with_desktop(two_seat_pc(), LEFT_GPU, RIGHT_GPU)

    best, *_ = proposed(replace(host, console=replace(host.console, sessions=())))

    assert not any(seat.drawbacks for seat in best.seats)


def test_a_port_that_a_seat_cannot_have_says_so():
    with pytest.raises(NoProposalError) as caught:
        proposed(seats=(SeatWishes("left", ports=(UsbPort.parse("0000:00:14.0/usb2/99"),)),))

    assert any("other sockets" in way for way in caught.value.ways)
