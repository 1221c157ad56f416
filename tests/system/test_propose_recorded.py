"""Proposals on machines that were recorded elsewhere, as they are and with IOMMU groups."""

from __future__ import annotations

import time

import pytest

from phyllome_seat.model.devices import Console, Memory, Mount
from phyllome_seat.model.proposal import NoProposalError, ProposalWishes
from phyllome_seat.model.propose import propose
from phyllome_seat.model.value import replace
from tests.bench.many_cards import with_groups
from tests.model.test_propose import check_promises, check_refusal
from tests.recorded import GROUPED, MACHINES

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
