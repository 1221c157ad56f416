"""`propose` on PCs of a real kernel: what it proposes there, `plan` and `apply` take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.model.host_json import parse_host
from phyllome_seat.model.proposal import NoProposalError, ProposalWishes
from phyllome_seat.model.propose import propose as find_proposals
from phyllome_seat.model.seat_file import parse_wish
from tests.model.test_propose import check_promises

pytestmark = pytest.mark.lab

PCS = Path(__file__).parent / "pcs"
FILE = "/etc/phyllome-seat/seats.yaml"


def propose(pc, *words):
    """Have the PC write its own seat file; returns the wish in it."""
    hold_promises(pc)
    pc.run(["mkdir", "-p", "/etc/phyllome-seat"])
    pc.run(["phyllome-seat", "propose", "-o", FILE, *words])
    return parse_wish(pc.get(FILE).decode())


def hold_promises(pc):
    """Hold all that can be proposed for this PC against what the host needs, told independently."""
    host = parse_host(pc.run("phyllome-seat scan --json --guests").stdout)
    found = []
    for console in ("keep", "none"):
        for count in (None, 1, 2, 3):
            with suppress(NoProposalError):
                found += find_proposals(host, ProposalWishes(count=count, console=console))
    assert found
    for proposal in found:
        check_promises(host, proposal)


def plan(pc):
    return pc.run("phyllome-seat plan").stdout


def test_what_the_two_seat_pc_proposes_is_applied_and_then_there_is_nothing_to_do(pc):
    wish = propose(pc)
    text = pc.get(FILE)

    assert [seat.name for seat in wish.seats] == ["left", "right"]
    gpus = {str(seat.gpu.address) for seat in wish.seats}
    assert gpus == {pc.address("left"), pc.address("right")}
    controllers = {str(match.address) for seat in wish.seats for match in seat.usb}
    assert controllers == {pc.address("left-usb"), pc.address("right-usb")}
    assert "bind" in plan(pc)
    pc.run("phyllome-seat apply", timeout_s=180)
    assert "nothing to do" in plan(pc)
    again = pc.run("phyllome-seat propose", check=False)
    assert again.status == 0, again.stderr
    after = parse_wish(again.stdout)
    assert [seat.gpu for seat in after.seats] == [
        seat.gpu.__class__(seat.gpu.address, seat.gpu.id, new.gpu.line)
        for seat, new in zip(wish.seats, after.seats, strict=True)
    ]
    refused = pc.run(["phyllome-seat", "propose", "-o", FILE], check=False)
    assert refused.status == 2
    assert pc.get(FILE) == text


@pytest.mark.soak
def test_two_cards_and_none_for_the_host_are_two_seats_when_the_console_is_given_up(open_pc):
    with open_pc(read_description(PCS / "no-host-card.yaml")) as pc:
        refused = pc.run("phyllome-seat propose --seats 2", check=False)
        assert refused.status == 1
        assert "--console none" in refused.stderr

        wish = propose(pc, "--seats", "2", "--console", "none")

        assert len({seat.gpu.address for seat in wish.seats}) == 2
        assert "bind" in plan(pc)


@pytest.mark.soak
def test_one_card_is_no_seat_and_it_is_said_what_would_be(open_pc):
    with open_pc(read_description(PCS / "one-card.yaml")) as pc:
        refused = pc.run("phyllome-seat propose", check=False)
        assert refused.status == 1
        assert "one graphics card more" in refused.stderr
        assert "--seat left:virtio" in refused.stderr

        wish = propose(pc, "--seat", "left:virtio")

        assert wish.seats[0].gpu is None
        assert wish.seats[0].usb
        assert "create guest" in plan(pc).lower()


@pytest.mark.soak
def test_three_seats_share_three_cards_and_the_third_gets_what_the_board_has(open_pc):
    with open_pc(read_description(PCS / "three-seats.yaml")) as pc:
        wish = propose(pc)

        assert [seat.name for seat in wish.seats] == ["left", "middle", "right"]
        assert {str(seat.gpu.address) for seat in wish.seats} == {
            pc.address(part) for part in ("left", "middle", "right")
        }
        assert "bind" in plan(pc)
