"""What `check` says of cards: group and slot, reset, virtual functions, boot picture, BARs."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from phyllome_seat.model.address import PciId
from phyllome_seat.model.check import check
from phyllome_seat.model.check_card_models import find_troubles
from phyllome_seat.model.devices import Link
from phyllome_seat.model.platform import Bar, BootFramebuffer
from phyllome_seat.model.proposal import NoProposalError
from phyllome_seat.model.propose import propose
from tests.model.hosts import (
    DISK,
    LEFT_GPU,
    LEFT_USB,
    PCI_BRIDGE,
    RIGHT_GPU,
    RIGHT_USB,
    address,
    function,
    two_seat_wish,
    with_function,
)
from tests.model.machines import machines
from tests.model.test_check import HEALTHY, healthy_pc

WIDE = Link(16.0, 16, 16.0, 16)


def said(host, where=LEFT_GPU, wish=None):
    return [f for f in check(host, wish) if f.subject.startswith(where)]


def shared():
    """The healthy PC with the disk in the group of left's card."""
    return with_function(healthy_pc(), DISK, iommu_group=1)


def with_port(host, where, group, link=WIDE):
    port = function(where, "8086:a72d", PCI_BRIDGE, group, "pcieport")
    return replace(host, pci=(*host.pci, replace(port, link=link)))


def test_a_card_that_shares_its_group_is_told_what_is_in_the_way_and_the_free_slot():
    (found,) = said(with_port(shared(), "0000:00:06.0", 40))

    assert f"shares IOMMU group 1 with {DISK}" in found.words
    assert "behind port 0000:00:06.0 (nothing there now, 16 lanes)" in found.fix


def test_a_slot_for_a_network_card_is_not_proposed_nor_one_in_a_shared_group():
    narrow = Link(8.0, 1, 8.0, 1)
    host = with_port(with_port(shared(), "0000:00:06.0", 40, narrow), "0000:00:07.0", 8)

    (found,) = said(host)

    assert found.fix == "put the card into another slot: one wired to the processor"


def test_the_place_of_another_card_with_its_own_group_is_a_better_slot():
    host = with_port(shared(), "0000:00:06.0", 41)
    moved = tuple(
        replace(d, parent=address("0000:00:06.0"))
        if str(d.address).startswith("0000:02:00.")
        else d
        for d in host.pci
    )

    (found,) = said(replace(host, pci=moved))

    assert f"in the place of {RIGHT_GPU} (Radeon RX 7800 XT), whose group is its own" in found.fix


def test_a_card_that_a_seat_wants_is_an_error_and_one_that_none_wants_is_not_named():
    third = shared()

    found = check(third, two_seat_wish())

    assert {f.severity for f in found if "shares IOMMU group" in f.words} == {"error"}


def test_a_controller_that_goes_to_the_same_seat_as_the_card_of_its_group_is_not_in_the_way():
    host = with_function(healthy_pc(), LEFT_USB, iommu_group=1)

    assert [f for f in check(host, two_seat_wish()) if f.severity == "error"] == []
    assert [f.severity for f in said(host)] == ["warning"]  # while no seat file takes both


def test_a_controller_of_another_seat_in_the_group_of_a_card_is_said_as_plan_says_it():
    host = with_function(healthy_pc(), RIGHT_USB, iommu_group=1)

    errors = [f for f in check(host, two_seat_wish()) if f.severity == "error"]

    assert {f.subject for f in errors} == {"seats"}
    assert any(f"{RIGHT_USB}" in f.words and "of seat right" in f.words for f in errors)


def test_a_controller_that_a_seat_wants_is_an_error_where_firmware_keeps_memory_for_its_group():
    group = next(d.iommu_group for d in healthy_pc().pci if d.address == address(LEFT_USB))
    host = replace(healthy_pc(), platform=replace(HEALTHY, direct_groups=(group,)))

    (found,) = said(host, LEFT_USB, two_seat_wish())

    assert (found.severity, "VFIO will refuse it" in found.words) == ("error", True)
    assert found.evidence == f"/sys/kernel/iommu_groups/{group}/reserved_regions: direct"
    assert said(host, LEFT_USB) == []  # nobody wants it


def test_memory_kept_for_a_group_with_card_and_controller_is_said_once():
    host = with_function(healthy_pc(), LEFT_USB, iommu_group=1)
    host = replace(host, platform=replace(HEALTHY, direct_groups=(1,)))

    found = [f for f in check(host, two_seat_wish()) if "VFIO will refuse it" in f.words]

    assert [f.subject.split()[0] for f in found] == [LEFT_GPU]


@settings(suppress_health_check=list(HealthCheck), max_examples=100)
@given(machines(min_cards=1))
def test_nothing_is_in_the_way_of_the_cards_of_what_was_proposed(host):
    try:
        proposals = propose(host)
    except NoProposalError:
        return
    for proposal in proposals:
        for finding in check(host, proposal.wish):
            assert finding.severity != "error" or "shares IOMMU group" not in finding.words


@pytest.mark.parametrize(
    ("methods", "alone", "severity"),
    [
        (("flr", "bus"), True, None),
        (("pm",), False, None),
        (("bus",), True, "note"),
        ((), True, "note"),
        ((), False, "warning"),
        (("bus",), False, "warning"),
    ],
)
def test_no_reset_of_its_own_is_a_warning_only_where_its_bus_has_others(methods, alone, severity):
    host = with_function(healthy_pc(), LEFT_GPU, reset_methods=methods)
    if not alone:
        host = with_function(host, DISK, parent=address("0000:00:01.0"))

    found = [f.severity for f in said(host) if "reset" in f.words]

    assert found == ([severity] if severity else [])


def test_a_card_whose_bus_must_not_be_reset_is_a_warning():
    host = with_function(healthy_pc(), LEFT_GPU, reset_methods=(), id=PciId(0x10DE, 0x2342))

    assert [f.severity for f in said(host)] == ["warning"]


@pytest.mark.parametrize(
    ("identity", "source"),
    [
        ("1002:67df", "vendor-reset"),
        ("1002:744c", "vendor-reset"),
        ("1002:7550", "107"),
        ("10de:2b85", "853"),
        ("10de:2684", None),
        ("1002:73bf", None),
        ("8086:56a0", None),
    ],
)
def test_what_is_reported_of_a_model_is_known_with_its_source(identity, source):
    found = find_troubles(PciId.parse(identity))

    assert (source in found[0].source) if source else not found


def test_reports_of_a_model_are_notes():
    assert [f.severity for f in said(healthy_pc(), RIGHT_GPU)] == ["note"]


def test_virtual_functions_that_are_on_are_said():
    (found,) = said(with_function(healthy_pc(), LEFT_GPU, vfs=2, vfs_max=7))

    assert found.words.startswith("2 virtual functions of it are on")
    assert found.fix == f"echo 0 | sudo tee /sys/bus/pci/devices/{LEFT_GPU}/sriov_numvfs"


@pytest.mark.parametrize(
    ("class_code", "driver", "severity"),
    [
        (0x030000, None, "note"),
        (0x030000, "vfio-pci", "warning"),
        (0x038000, None, "warning"),
        (0x030000, "nouveau", None),
    ],
)
def test_the_boot_picture_matters_where_vfio_does_not_take_it_out(class_code, driver, severity):
    frame = BootFramebuffer(address(LEFT_GPU), "simpledrm")
    host = with_function(healthy_pc(), LEFT_GPU, class_code=class_code, driver=driver)
    host = replace(host, platform=replace(HEALTHY, framebuffers=(frame,)))

    found = [f.severity for f in said(host, wish=two_seat_wish()) if "simpledrm" in f.evidence]

    assert found == ([severity] if severity else [])


def test_a_small_bar_is_a_note_and_a_whole_one_is_none():
    small = Bar(address(LEFT_GPU), 1, 256 << 20, 16 << 30)
    host = replace(healthy_pc(), platform=replace(HEALTHY, bars=(small,)))

    (found,) = said(host)

    assert (found.severity, "shows 256 MiB" in found.words) == ("note", True)
    whole = replace(small, size_bytes=16 << 30)
    assert said(replace(host, platform=replace(HEALTHY, bars=(whole,)))) == []
