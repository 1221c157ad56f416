"""Proposals on machines that were recorded elsewhere, as they are and with IOMMU groups."""

from __future__ import annotations

import time

import pytest

from phyllome_seat.model.assign import assign
from phyllome_seat.model.devices import Console, Memory, Mount
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.given_up import name_given_up
from phyllome_seat.model.proposal import NoProposalError, ProposalWishes
from phyllome_seat.model.propose import find_best, propose
from phyllome_seat.model.seat import PciMatch, Seat, Wish
from phyllome_seat.model.value import replace
from tests.bench.many_cards import with_groups
from tests.model.test_propose import check_promises, check_refusal, check_wish
from tests.recorded import GROUPED, MACHINES
from tests.system.compositions import ONE, OWN, ROOT_PORT, compose, read_monitors, with_slots

EVERY = (*MACHINES, "thinkpad-t60")


@pytest.fixture
def read(read_machine):
    return lambda name: read_machine(name)[0]


def grouped(host):
    """As a good board, with a group for each device, a disk in use and memory."""
    disks = tuple(Mount(b.name, "/", "ext4") for b in host.blocks[:1])
    return replace(with_groups(host), mounts=disks, memory=Memory(32 * 2**20))


def propose_or_say(host, wishes=ProposalWishes()):  # noqa: B008 - a value
    try:
        proposals = propose(host, wishes)
    except NoProposalError as error:
        check_refusal(error)
        assert error.ways
        return ()
    for proposal in proposals:
        check_promises(host, proposal)
    return proposals


@pytest.mark.parametrize("name", (*EVERY, *GROUPED))
def test_a_recorded_machine_gets_what_keeps_every_promise_or_is_told_what_it_needs(read, name):
    propose_or_say(read(name))
    propose_or_say(read(name), ProposalWishes(count=2))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("console", ["keep", "none"])
def test_a_recorded_machine_with_groups_does_too(read, name, console):
    host = grouped(read(name))
    gpus = [d.address for d in host.pci if d.is_gpu]
    shown = replace(host, console=Console(gpu=gpus[0] if gpus else None))

    for count in (None, 1, 2, 3):
        propose_or_say(shown, ProposalWishes(count=count, console=console))


def test_some_recorded_machines_with_groups_get_a_seat(read):
    fits = [name for name in EVERY if propose_or_say(grouped(read(name)))]

    assert len(fits) >= 2


@pytest.mark.parametrize("name", ["NVIDIA_DGX_STATION", "DELL_POWEREDGE_R820_NVME"])
def test_the_largest_recorded_machines_are_answered_in_half_a_second(read, name):
    host = grouped(read(name))
    started = time.process_time()

    propose_or_say(host)

    assert time.process_time() - started < 1.0  # half of it is the checking of the promises


# -- machines put together of recorded parts -------------------------------------------------------

SLOTS = (0, 3)  # cards and controllers put into free slots


@pytest.fixture(scope="module")
def monitors():
    return read_monitors()


@pytest.fixture
def composed(read, monitors):
    """Return every composition of a machine: all ways of groups, other monitors in each."""

    def compositions(name):
        machine = read(name)
        others = [read(other) for other in GROUPED]
        start = (*EVERY, *GROUPED).index(name) * 20
        for number, slots in enumerate(SLOTS * 10):
            groups = (OWN, ROOT_PORT, ONE, *others)[number // 2]
            full = with_slots(machine, others[number % len(others)], slots)
            yield groups, slots, compose(full, groups, monitors, start + number), number

    return compositions


@pytest.mark.parametrize("name", (*EVERY, *GROUPED))
def test_what_is_proposed_for_any_composition_of_recorded_parts_keeps_every_promise(composed, name):
    seats = {}
    for groups, slots, host, number in composed(name):
        for console in ("keep", "none"):
            for count in (1, 2, 3, 4):
                wishes = ProposalWishes(count=count, console=console)
                best = find_best(host, wishes)
                if best is None:
                    continue
                seats[groups, slots, console] = count
                others = propose(host, wishes)[1:] if number % 4 == count - 1 else ()
                for proposal in (best, *others):
                    check_promises(host, proposal)

    assert seats[OWN, 3, "keep"] >= 2  # else it would be nothing that was looked at
    assert (ONE, 0, "keep") not in seats
    assert (ONE, 3, "keep") not in seats


@pytest.mark.parametrize("name", (*EVERY, *GROUPED))
def test_what_is_accepted_on_any_composition_of_recorded_parts_keeps_them_too(composed, name):
    accepted = 0
    for _, _, host, _ in composed(name):
        controllers = [named(d) for d in host.pci if d.is_usb_controller]
        cards = [named(d) for d in host.pci if d.is_gpu]
        wanted = [Seat("left", usb=(match,)) for match in controllers]
        wanted += [
            Seat("left", gpu=card, usb=tuple(controllers[number : number + 1]))
            for number, card in enumerate(cards)
        ]
        for seat in wanted:
            for console in ("keep", "none"):
                wish = Wish((seat,), console=console)
                try:
                    assign(wish, host)
                except AssignmentError:
                    continue
                check_wish(host, name_given_up(host, wish))
                accepted += 1

    assert accepted >= 10


def named(device):
    return PciMatch(device.address, device.id)
