from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, PciId, UsbId
from phyllome_seat.model.assign import assign
from phyllome_seat.model.devices import (
    BlockDevice,
    Connector,
    Cpu,
    Guest,
    Host,
    Hostdev,
    Iommu,
    Memory,
    Mount,
    UsbSocket,
)
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.groups import find_blockers
from phyllome_seat.model.guest import parse_guest
from phyllome_seat.model.owner import find_owner
from phyllome_seat.model.seat import (
    DeviceMatch,
    MonitorMatch,
    NewGuest,
    PciMatch,
    PortMatch,
    Seat,
    Wish,
)
from phyllome_seat.model.seat_file import parse_wish, render_wish
from tests.model.hosts import (
    DISK,
    HOST_GPU,
    HOST_USB,
    LEFT_GPU,
    LEFT_SOUND,
    LEFT_USB,
    MEMORY,
    NETWORK,
    RIGHT_GPU,
    RIGHT_SOUND,
    RIGHT_USB,
    SOUND,
    USB,
    VGA,
    WIN11_XML,
    address,
    applied_two_seat_pc,
    bound,
    function,
    port,
    two_seat_pc,
    two_seat_wish,
    usb_device,
    with_function,
    with_pci,
)
from tests.recorded import count_tested, recorded

LEFT_NAME = "0000:01:00.0 (GeForce RTX 4070)"
RIGHT_NAME = "0000:02:00.0 (Radeon RX 7800 XT)"


def pci(where: str, host: Host | None = None, line: int = 0) -> PciMatch:
    """Return the match for what is at `where`."""
    device = (host or two_seat_pc()).by_address[address(where)]
    return PciMatch(device.address, PciId(device.id.vendor, device.id.device), line)


def socket(usb2: tuple[int, ...] = (), usb3: tuple[int, ...] = (), line: int = 0) -> PortMatch:
    return PortMatch(address(HOST_USB), PciId.parse("8086:7ae0"), usb2, usb3, line)


def one_seat(**wanted: object) -> Wish:
    return Wish(seats=(Seat("left", **wanted),))  # type: ignore[arg-type]  # real fields


def two_seats(left: dict[str, object], right: dict[str, object]) -> Wish:
    return Wish(seats=(Seat("left", **left), Seat("right", **right)))  # type: ignore[arg-type]


def taken(wish: Wish, host: Host) -> list[list[str]]:
    return [[str(a) for a in seat.addresses] for seat in assign(wish, host).seats]


def refusals(wish: Wish, host: Host) -> tuple[str, ...]:
    with pytest.raises(AssignmentError) as caught:
        assign(wish, host)
    assert str(caught.value) == "\n".join(caught.value.conflicts)
    return caught.value.conflicts


def refusal(wish: Wish, host: Host) -> str:
    found = refusals(wish, host)
    assert len(found) == 1, found
    return found[0]


# Whole devices


def test_each_seat_gets_its_gpu_with_its_sound_and_its_usb_controller():
    left, right = assign(two_seat_wish(), two_seat_pc()).seats

    assert [(str(p.address), p.what, p.unit) for p in left.pci] == [
        (LEFT_GPU, "gpu", 0),
        (LEFT_SOUND, "sound", 0),
        (LEFT_USB, "usb", 1),
    ]
    assert [m.name for m in left.monitors] == ["DELL U2720Q"]
    # The sound of this one sits in another IOMMU group and comes all the same.
    assert [str(p.address) for p in right.pci] == [RIGHT_GPU, RIGHT_SOUND, RIGHT_USB]
    assert "0000:02:00.1 (Navi 31 Audio) comes with 0000:02:00.0: one graphics card" in right.notes


def test_a_pc_that_was_applied_is_assigned_the_same_as_before():
    before, after = two_seat_pc(), applied_two_seat_pc()

    assert assign(two_seat_wish(), after) == assign(two_seat_wish(), before)


def test_two_identical_controllers_are_told_apart_by_their_place():
    assert taken(two_seat_wish(), two_seat_pc())[0][-1] == LEFT_USB
    assert taken(two_seat_wish(), two_seat_pc())[1][-1] == RIGHT_USB


def test_two_identical_gpus_go_to_a_seat_each_and_the_third_stays():
    twins = with_pci(
        two_seat_pc(), lambda d: replace(d, id=PciId.parse("10de:2786")) if d.is_gpu else d
    )
    wish = two_seats({"gpu": pci(LEFT_GPU, twins)}, {"gpu": pci(RIGHT_GPU, twins)})

    assert taken(wish, twins) == [[LEFT_GPU, LEFT_SOUND], [RIGHT_GPU, RIGHT_SOUND]]


def test_a_wish_for_nothing_is_assigned_nothing():
    assert assign(Wish(), two_seat_pc()).seats == ()
    assert taken(one_seat(), two_seat_pc()) == [[]]


def test_an_address_that_holds_another_device_is_refused_with_where_the_wanted_one_is():
    moved = with_function(
        with_function(two_seat_pc(), LEFT_GPU, id=PciId.parse("10de:128b"), device_name="GT 710"),
        RIGHT_GPU,
        id=PciId.parse("10de:2786"),
    )

    assert refusal(one_seat(gpu=pci(LEFT_GPU, line=7)), moved) == (
        "0000:01:00.0 is not 10de:2786, GT 710 (10de:128b) is there now; 0000:02:00.0 "
        '(Radeon RX 7800 XT) is the only 10de:2786 now: write "0000:02:00.0" if it is '
        "(seats.yaml:7)"
    )


def test_an_empty_address_and_an_identity_that_is_gone_or_twice_are_said_so():
    empty = PciMatch(PciAddress.parse("0000:09:00.0"), PciId.parse("10de:2786"))
    gone = PciMatch(address(LEFT_GPU), PciId.parse("10de:ffff"))
    twice = PciMatch(PciAddress.parse("0000:09:00.0"), PciId.parse("1b73:1100"))

    assert "nothing is there now" in refusal(one_seat(gpu=empty), two_seat_pc())
    assert "no 10de:ffff is in this PC" in refusal(one_seat(gpu=gone), two_seat_pc())
    assert f"at {LEFT_USB} with " in (words := refusal(one_seat(usb=(twice,)), two_seat_pc()))
    assert f", {RIGHT_USB} with " in words
    assert words.endswith(" now: write the one you mean")


def test_twins_that_moved_are_proposed_by_what_a_person_knows_them_by():
    twins = with_pci(
        two_seat_pc(), lambda d: replace(d, id=PciId.parse("10de:2786")) if d.is_gpu else d
    )
    card = PciMatch(PciAddress.parse("0000:09:00.0"), PciId.parse("10de:2786"))
    controller = PciMatch(PciAddress.parse("0000:09:00.0"), PciId.parse("1b73:1100"))

    cards = refusal(one_seat(gpu=card), twins)
    controllers = refusal(one_seat(usb=(controller,)), twins)

    for connector in twins.connectors:
        if connector.monitor:
            assert f"{connector.gpu} with {connector.monitor.name}" in cards
    assert f"{LEFT_USB} with Left Keyboard and Receiver, {RIGHT_USB} with Right" in controllers


def test_a_subsystem_must_hold_only_where_it_is_given():
    other_board = PciMatch(address(LEFT_GPU), PciId.parse("10de:2786/1462:1234"))

    assert "is not 10de:2786/1462:1234" in refusal(one_seat(gpu=other_board), two_seat_pc())
    assert taken(one_seat(gpu=pci(LEFT_GPU)), two_seat_pc()) == [[LEFT_GPU, LEFT_SOUND]]


def test_what_is_no_gpu_and_what_is_no_usb_controller_is_refused_with_those_that_are():
    assert refusal(one_seat(gpu=pci(LEFT_USB)), two_seat_pc()).startswith(
        "0000:03:00.0 (FL1100 USB 3.0) is no GPU: name one of 0000:00:02.0 (UHD Graphics 770), "
    )
    assert "is no USB controller: name one of 0000:00:14.0" in refusal(
        one_seat(usb=(pci(LEFT_GPU),)), two_seat_pc()
    )


def test_what_is_no_gpu_and_no_usb_controller_is_refused_with_what_the_host_needs_it_for():
    base = two_seat_pc()
    too = replace(base.network_uses[0], evidence="/proc/net/ipv6_route")
    host = replace(base, network_uses=(*base.network_uses, too))

    disk = refusal(one_seat(usb=(pci(DISK),)), host)
    network = refusal(one_seat(gpu=pci(NETWORK)), host)

    assert disk.startswith(
        "0000:00:17.0 (Alder Lake-S SATA) is no USB controller but holds / (ext4 on sda1): name one"
    )
    assert network.startswith(
        "0000:05:00.0 (Ethernet I225-V) is no GPU but carries the default route (eth0): name one of"
    )


def test_a_gpu_with_virtual_functions_on_is_refused_as_vfio_would():
    host = with_function(two_seat_pc(), LEFT_GPU, vfs=4)

    assert "has 4 virtual functions on" in refusal(one_seat(gpu=pci(LEFT_GPU)), host)


def test_a_virtual_function_goes_alone():
    base = two_seat_pc()
    vf = replace(
        function("0000:01:00.2", "10de:2787", VGA, 40),
        physical_function=address(LEFT_GPU),
    )
    host = replace(base, pci=(*base.pci, vf))

    assert taken(one_seat(gpu=pci("0000:01:00.2", host)), host) == [["0000:01:00.2"]]
    assert taken(one_seat(gpu=pci(LEFT_GPU)), host) == [[LEFT_GPU, LEFT_SOUND]]


# Monitors


def test_a_monitor_alone_tells_which_gpu_also_when_it_is_only_remembered():
    wish = one_seat(monitor=MonitorMatch(maker="DEL", serial="8KTXF13"))

    assert taken(wish, two_seat_pc()) == [[LEFT_GPU, LEFT_SOUND]]
    assert taken(wish, applied_two_seat_pc()) == [[LEFT_GPU, LEFT_SOUND]]


def test_a_serial_that_edid_gives_as_a_number_is_a_serial():
    wish = one_seat(monitor=MonitorMatch(name="ROG PG279Q", serial="51966"))

    assert taken(wish, two_seat_pc()) == [[RIGHT_GPU, RIGHT_SOUND]]


def test_a_monitor_on_another_gpu_than_the_named_one_is_refused_with_where_it_is():
    wish = one_seat(gpu=pci(LEFT_GPU), monitor=MonitorMatch(name="ROG PG279Q", line=9))

    assert refusal(wish, two_seat_pc()).startswith(
        f"{LEFT_NAME} does not show monitor ROG PG279Q; it is on {RIGHT_NAME}, DP-3: plug it over"
    )


def test_a_monitor_that_nobody_sees_is_refused_with_those_that_are_seen():
    wish = one_seat(monitor=MonitorMatch(name="Elsewhere", serial="1"))
    with_gpu = one_seat(gpu=pci(LEFT_GPU), monitor=MonitorMatch(name="Elsewhere"))

    assert refusal(wish, two_seat_pc()).startswith(
        "monitor Elsewhere (serial 1) is on no GPU; seen: LG on 0000:00:02.0, "
        "DELL U2720Q (serial 8KTXF13) on 0000:01:00.0, "
    )
    assert "does not show monitor Elsewhere; seen: LG" in refusal(with_gpu, two_seat_pc())


def test_the_same_monitor_on_two_gpus_is_ambiguous_until_the_gpu_is_named():
    base = two_seat_pc()
    twin = Connector(address(RIGHT_GPU), "DP-4", True, True, Monitor("DEL", 1, name="DELL U2720Q"))
    host = replace(base, connectors=(*base.connectors, twin))
    monitor = MonitorMatch(name="DELL U2720Q")

    assert refusal(one_seat(monitor=monitor), host) == (
        "monitor DELL U2720Q is on 0000:01:00.0 and 0000:02:00.0: say which by `gpu:`"
    )
    assert taken(one_seat(gpu=pci(RIGHT_GPU), monitor=monitor), host)[0][0] == RIGHT_GPU


def test_a_gpu_whose_connectors_nobody_ever_saw_is_taken_at_its_word():
    unseen = replace(applied_two_seat_pc(), connectors=())

    assert taken(two_seat_wish(), unseen)[0][0] == LEFT_GPU


# IOMMU groups


def test_half_a_group_is_refused_in_words_that_name_the_other_half():
    host = with_function(two_seat_pc(), RIGHT_USB, iommu_group=14)

    assert refusal(one_seat(usb=(pci(LEFT_USB, line=5),)), host) == (
        "0000:03:00.0 (FL1100 USB 3.0) shares IOMMU group 14 with 0000:04:00.0 (FL1100 USB 3.0): "
        "both go to seat left, or neither (seats.yaml:5)"
    )
    assert taken(one_seat(usb=(pci(LEFT_USB), pci(RIGHT_USB))), host) == [[LEFT_USB, RIGHT_USB]]


def test_a_group_member_that_no_seat_can_have_is_said_so():
    host = with_function(two_seat_pc(), RIGHT_SOUND, class_code=MEMORY, iommu_group=14)
    alone = with_function(host, RIGHT_GPU, class_code=MEMORY)

    assert refusal(one_seat(usb=(pci(LEFT_USB),)), alone) == (
        "0000:03:00.0 (FL1100 USB 3.0) shares IOMMU group 14 with 0000:02:00.1 (Navi 31 Audio): "
        "no seat can have 0000:02:00.1: name another, or take 0000:02:00.1 from its driver first"
    )
    assert "both go to seat left, or neither" in refusal(one_seat(usb=(pci(LEFT_USB),)), host)


def test_two_gpus_in_one_group_cannot_go_to_two_seats():
    host = with_function(
        with_function(two_seat_pc(), RIGHT_GPU, iommu_group=1), RIGHT_SOUND, iommu_group=1
    )
    wish = two_seats({"gpu": pci(LEFT_GPU)}, {"gpu": pci(RIGHT_GPU)})

    left, right = refusals(wish, host)

    assert left == (
        f"{LEFT_NAME} shares IOMMU group 1 with {RIGHT_NAME} of seat right and 0000:02:00.1 "
        "(Navi 31 Audio) of seat right: give all of them to one seat"
    )
    assert right.startswith(f"{RIGHT_NAME} shares IOMMU group 1 with {LEFT_NAME} of seat left and ")


def test_a_card_whose_sound_is_in_another_group_answers_for_both_groups():
    base = two_seat_pc()
    assert base.by_address[address(RIGHT_SOUND)].iommu_group not in (
        None,
        base.by_address[address(RIGHT_GPU)].iommu_group,
    )
    crowded = with_function(base, LEFT_USB, iommu_group=13)

    assert taken(one_seat(gpu=pci(RIGHT_GPU)), base) == [[RIGHT_GPU, RIGHT_SOUND]]
    assert refusal(one_seat(gpu=pci(RIGHT_GPU)), crowded) == (
        f"{RIGHT_SOUND} (Navi 31 Audio) shares IOMMU group 13 with {LEFT_USB} (FL1100 USB 3.0): "
        "both go to seat left, or neither"
    )


@pytest.mark.parametrize("driver", [None, "pcieport", "pci-stub", "vfio-pci"])
def test_a_group_member_that_does_no_dma_for_the_host_is_left_where_it_is(driver):
    host = with_function(two_seat_pc(), RIGHT_USB, iommu_group=14, driver=driver)

    assert taken(one_seat(usb=(pci(LEFT_USB),)), host) == [[LEFT_USB]]


def test_a_usb_controller_on_a_graphics_card_goes_with_the_card_but_not_without():
    base = two_seat_pc()
    extra = (
        function("0000:01:00.2", "10de:1ad8", USB, 1, "xhci_hcd", name="TU104 USB"),
        function("0000:01:00.3", "10de:1ad9", 0x0C8000, 1, "nvidia-gpu", name="TU104 UCSI"),
    )
    host = replace(base, pci=(*base.pci, *extra))

    (seat,) = assign(one_seat(gpu=pci(LEFT_GPU)), host).seats
    assert [(str(p.address), p.what, p.unit) for p in seat.pci] == [
        (LEFT_GPU, "gpu", 0),
        (LEFT_SOUND, "sound", 0),
        ("0000:01:00.2", "usb", 0),
        ("0000:01:00.3", "other", 0),
    ]
    assert refusal(one_seat(usb=(pci("0000:01:00.2", host),)), host) == (
        f"0000:01:00.2 (TU104 USB) shares IOMMU group 1 with {LEFT_NAME}, 0000:01:00.1 "
        "(AD104 Audio) and 0000:01:00.3 (TU104 UCSI): all go to seat left, or none"
    )


def test_the_companions_of_a_usb_controller_come_along_where_the_group_asks_for_them():
    base = two_seat_pc()
    companion = function("0000:03:00.1", "1b73:1101", USB & ~0xFF, 14, "uhci_hcd", name="UHCI")
    host = replace(base, pci=(*base.pci, companion))
    alone = with_function(host, "0000:03:00.1", iommu_group=41)
    wish = one_seat(usb=(pci(LEFT_USB),))

    (seat,) = assign(wish, host).seats
    assert [(str(p.address), p.unit) for p in seat.pci] == [(LEFT_USB, 0), ("0000:03:00.1", 0)]
    assert seat.notes == ("0000:03:00.1 (UHCI) comes with 0000:03:00.0: they share IOMMU group 14",)
    assert taken(wish, alone) == [[LEFT_USB]]
    assert taken(wish, bound(host, {"left": (LEFT_USB, "0000:03:00.1")})) == taken(wish, host)


def test_a_processor_keeps_its_own_usb_and_security_when_its_gpu_goes():
    base = two_seat_pc()
    processor = (
        function("0000:38:00.0", "1002:15dd", VGA, 20, "amdgpu", name="Raven"),
        function("0000:38:00.1", "1002:15de", SOUND, 21, "snd_hda_intel", name="HDMI"),
        function("0000:38:00.2", "1022:15df", 0x108000, 22, "ccp", name="PSP"),
        function("0000:38:00.3", "1022:15e0", USB, 22, "xhci_hcd", name="USB"),
        function("0000:38:00.6", "1022:15e3", SOUND, 22, "snd_hda_intel", name="HD Audio"),
    )
    host = replace(base, pci=(*base.pci, *processor))
    shared = with_function(host, "0000:38:00.1", iommu_group=22)
    wish = one_seat(gpu=pci("0000:38:00.0", host))

    assert taken(wish, host) == [["0000:38:00.0", "0000:38:00.1"]]
    assert taken(wish, shared) == [["0000:38:00.0"]]


def test_without_an_iommu_no_pci_device_goes_anywhere_and_usb_ports_do():
    host = replace(with_pci(two_seat_pc(), lambda d: replace(d, iommu_group=None)), iommu=Iommu())

    assert refusal(two_seat_wish(), host).startswith("this PC has no IOMMU group")
    assert assign(one_seat(usb=(socket((3,)),)), host).seats[0].ports != ()


def test_one_function_without_a_group_is_refused_by_name():
    host = with_function(two_seat_pc(), LEFT_USB, iommu_group=None)

    assert refusal(one_seat(usb=(pci(LEFT_USB),)), host).startswith(
        "0000:03:00.0 (FL1100 USB 3.0) has no IOMMU group"
    )


# USB ports and devices


def test_the_other_speed_of_a_socket_is_found_though_its_number_differs():
    both = (port(f"{HOST_USB}/usb2/3"), port(f"{HOST_USB}/usb3/13"))

    for match in (socket((3,)), socket(usb3=(13,)), socket((3,), (13,))):
        assert assign(one_seat(usb=(match,)), two_seat_pc()).seats[0].ports == both


def test_a_socket_of_one_speed_is_one_port():
    (seat,) = assign(one_seat(usb=(socket((5,)),)), two_seat_pc()).seats

    assert seat.ports == (port(f"{HOST_USB}/usb2/5"),)


def test_the_other_half_of_a_hub_is_found_also_while_the_hub_is_unplugged():
    base = two_seat_pc()
    bare = replace(
        base, sockets=tuple(s for s in base.sockets if len(s.ports[0].ports) == 1), usb=()
    )

    (seat,) = assign(one_seat(usb=(socket((4, 2)),)), bare).seats

    assert seat.ports == (port(f"{HOST_USB}/usb2/4.2"), port(f"{HOST_USB}/usb3/14.2"))


def test_two_numbers_that_are_not_one_socket_are_refused_with_the_right_one():
    assert "its usb3 is 13: write that, or leave usb3 out" in refusal(
        one_seat(usb=(socket((3,), (14,)),)), two_seat_pc()
    )


def test_two_numbers_are_taken_at_their_word_where_the_kernel_knows_no_peers():
    sockets = tuple(UsbSocket((port(f"{HOST_USB}/usb2/{n}"),)) for n in range(1, 5))
    sockets += tuple(UsbSocket((port(f"{HOST_USB}/usb3/{n}"),)) for n in range(1, 5))
    host = replace(two_seat_pc(), sockets=sockets)

    (seat,) = assign(one_seat(usb=(socket((3,), (2,)),)), host).seats

    assert seat.ports == (port(f"{HOST_USB}/usb2/3"), port(f"{HOST_USB}/usb3/2"))


def test_a_port_that_the_controller_does_not_have_is_refused_with_those_it_has():
    assert refusal(one_seat(usb=(socket((99,)),)), two_seat_pc()) == (
        "0000:00:14.0/usb2/99 is no port: usb2 has 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12: "
        "name one of them"
    )


def test_a_port_of_a_controller_that_is_another_now_is_refused():
    match = PortMatch(address(HOST_USB), PciId.parse("8086:ffff"), (3,))

    assert "0000:00:14.0 is not 8086:ffff" in refusal(one_seat(usb=(match,)), two_seat_pc())


def test_one_port_for_two_seats_is_refused_for_either_speed():
    wish = two_seats({"usb": (socket((3,), line=5),)}, {"usb": (socket(usb3=(13,), line=8),)})

    assert refusals(wish, two_seat_pc()) == (
        "0000:00:14.0/usb2/3 is named by seat left (seats.yaml:5) and by seat right: "
        "give it to one of them (seats.yaml:8)",
        "0000:00:14.0/usb3/13 is named by seat left (seats.yaml:5) and by seat right: "
        "give it to one of them (seats.yaml:8)",
    )


def test_a_port_behind_the_hub_of_another_seat_is_its_own_seats():
    wish = two_seats({"usb": (socket((4,)),)}, {"usb": (socket((4, 3)),)})

    left, right = assign(wish, two_seat_pc()).seats

    assert port(f"{HOST_USB}/usb2/4") in left.ports
    assert port(f"{HOST_USB}/usb2/4.3") in right.ports


def test_a_port_of_the_controller_of_another_seat_is_refused():
    port_match = PortMatch(address(LEFT_USB), PciId.parse("1b73:1100"), (2,))
    wish = two_seats({"usb": (pci(LEFT_USB),)}, {"usb": (port_match,)})

    for host in (two_seat_pc(), bound(two_seat_pc(), {"left": (LEFT_USB,)})):
        assert refusals(wish, host)[0].startswith(
            "0000:03:00.0/usb2/2 of seat right is on 0000:03:00.0, which goes whole to seat left"
        )


def test_a_port_of_the_seats_own_controller_comes_with_it():
    port_match = PortMatch(address(LEFT_USB), PciId.parse("1b73:1100"), (2,))

    (seat,) = assign(one_seat(usb=(port_match, pci(LEFT_USB))), two_seat_pc()).seats

    assert (seat.ports, [str(a) for a in seat.addresses]) == ((), [LEFT_USB])


def test_a_device_that_is_not_plugged_in_is_waited_for():
    (seat,) = assign(one_seat(usb=(DeviceMatch(UsbId(0x20B1, 8)),)), two_seat_pc()).seats

    assert seat.devices == (DeviceMatch(UsbId(0x20B1, 8)),)
    assert seat.notes == ("20b1:0008 is not plugged in now; it goes here when it is",)


def test_two_equal_devices_are_refused_with_their_ports_unless_the_serial_differs():
    base = two_seat_pc()
    twins = tuple(
        usb_device(f"1-{n}", f"{HOST_USB}/usb2/{n}", "aaaa:0001", "Pad", serial=serial)
        for n, serial in ((7, "A"), (8, "B"))
    )
    host = replace(base, usb=(*base.usb, *twins))

    assert refusal(one_seat(usb=(DeviceMatch(UsbId(0xAAAA, 1)),)), host) == (
        "aaaa:0001 is 2 devices, at 0000:00:14.0/usb2/7 and 0000:00:14.0/usb2/8: "
        "name the port instead"
    )
    assign(one_seat(usb=(DeviceMatch(UsbId(0xAAAA, 1)),)), host, plugged=False)
    assign(one_seat(usb=(DeviceMatch(UsbId(0xAAAA, 1), "B"),)), host)


def test_a_device_remembered_elsewhere_does_not_make_the_one_seen_now_ambiguous():
    base = two_seat_pc()
    now = usb_device("1-7", f"{HOST_USB}/usb2/7", "aaaa:0001", "Pad", serial="A")
    then = replace(now, sysname="3-4", port=port(f"{LEFT_USB}/usb2/4"), remembered=True)
    host = replace(base, usb=(*base.usb, now, then))

    (seat,) = assign(one_seat(usb=(DeviceMatch(UsbId(0xAAAA, 1)),)), host).seats

    assert seat.devices == (DeviceMatch(UsbId(0xAAAA, 1)),)


def test_a_hub_by_identity_is_refused():
    assert refusal(one_seat(usb=(DeviceMatch(UsbId(0x05E3, 0x0610)),)), two_seat_pc()) == (
        "0000:00:14.0/usb2/4 (USB2.1 Hub) is a hub, which no guest gets: name its port instead"
    )


@pytest.mark.parametrize("serial", ["4C53", None])
def test_an_identity_that_two_seats_name_alike_is_refused_plugged_in_or_not(serial):
    match = DeviceMatch(UsbId(0x0781, 0x5582), serial)
    wish = two_seats(
        {"usb": (replace(match, line=5),)},
        {"usb": (replace(match, line=8),)},
    )

    what = "0781:5582 (serial 4C53)" if serial else "0781:5582"
    assert refusal(wish, two_seat_pc()) == (
        f"{what} is named by seat left (seats.yaml:5) and by seat right: "
        "give it to one of them (seats.yaml:8)"
    )


@pytest.mark.parametrize(
    "there",
    [DeviceMatch(UsbId(0x0781, 0x5581), "4C53"), socket((3,)), socket((4,)), pci(LEFT_USB)],
    ids=["serial", "port", "hub", "controller"],
)
def test_what_two_seats_name_unlike_is_for_the_most_specific_rule(there):
    wish = two_seats({"usb": (DeviceMatch(UsbId(0x0781, 0x5581)),)}, {"usb": (there,)})

    for where in ("3", "4.3"):
        pad = usb_device("9-9", f"{HOST_USB}/usb2/{where}", "0781:5581", "Pad")
        host = two_seat_pc()
        others = tuple(d for d in host.usb if d.id != pad.id and not d.name.startswith("Hub "))

        assign(wish, replace(host, usb=(*others, pad)))


def test_what_is_plugged_in_stops_no_start():
    base = two_seat_pc()
    stick = BlockDevice("sdb", "8:16", usb=port(f"{HOST_USB}/usb3/13"))
    mounted = replace(
        base, blocks=(*base.blocks, stick), mounts=(*base.mounts, Mount("sdb", "/mnt"))
    )
    wish = one_seat(usb=(socket((3,)),))

    assert "holds /mnt" in refusal(wish, mounted)
    assert len(assign(wish, mounted, plugged=False).seats) == 1


# What the host needs


def test_the_controller_of_the_root_disk_is_refused_with_its_mount_point():
    host = with_function(two_seat_pc(), LEFT_USB, iommu_group=5)

    found = refusals(one_seat(usb=(pci(LEFT_USB),)), host)

    assert found[0] == (
        "0000:03:00.0 (FL1100 USB 3.0) shares IOMMU group 5 with 0000:00:17.0 "
        "(Alder Lake-S SATA): the host needs that, so both stay: name another"
    )
    assert any("/" in sentence and "cannot go to seat left" in sentence for sentence in found[1:])


def test_a_gpu_that_shares_its_group_with_the_network_of_the_default_route_is_refused():
    host = with_function(two_seat_pc(), NETWORK, iommu_group=1)

    found = refusals(one_seat(gpu=pci(LEFT_GPU)), host)

    assert "shares IOMMU group 1 with 0000:05:00.0 (Ethernet I225-V)" in found[0]
    assert any("default route" in sentence for sentence in found)


def test_the_hosts_screen_goes_only_by_console_none():
    wish = one_seat(gpu=pci(HOST_GPU))

    (sentence,) = refusals(wish, two_seat_pc())
    (seat,) = assign(replace(wish, console="none"), two_seat_pc()).seats

    assert sentence.startswith("0000:00:02.0 (UHD Graphics 770) cannot go to seat left: ")
    assert "`console: none`" in sentence
    assert [str(a) for a in seat.addresses] == [HOST_GPU]
    assert any("is given up" in note for note in seat.notes)


def test_the_last_keyboard_goes_only_by_console_none():
    base = two_seat_pc()
    only = tuple(i for i in base.inputs if str(i.usb) == f"{HOST_USB}/usb2/1")
    host = replace(base, inputs=only)

    by_port = refusals(one_seat(usb=(socket((1,), line=4),)), host)
    by_controller = refusals(one_seat(usb=(pci(HOST_USB),)), host)
    by_identity = refusals(one_seat(usb=(DeviceMatch(UsbId(0x04D9, 0x0024)),)), host)

    for found in (by_port, by_controller, by_identity):
        assert any("keyboard" in sentence for sentence in found), found
    # The controller's other sockets are proposed; a port has none to propose.
    others = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 12"
    assert any(f": name ports of it (usb2: {others}), or" in s for s in by_controller)
    assert not any("name ports of it" in s for s in (*by_port, *by_identity))
    waived = assign(replace(one_seat(usb=(socket((1,)),)), console="none"), host)
    assert waived.seats[0].ports == (port(f"{HOST_USB}/usb2/1"),)


def test_no_console_none_gives_up_the_root_disk():
    host = with_function(two_seat_pc(), LEFT_USB, iommu_group=5)
    wish = Wish(seats=(Seat("left", usb=(pci(LEFT_USB),)),), console="none")

    assert any("cannot go to seat left" in sentence for sentence in refusals(wish, host))


# Two seats


def test_one_gpu_for_two_seats_is_refused_for_each_of_its_functions():
    wish = two_seats(
        {"gpu": pci(LEFT_GPU, line=3)}, {"monitor": MonitorMatch(name="DELL U2720Q", line=6)}
    )

    assert refusals(wish, two_seat_pc()) == (
        f"{LEFT_NAME} is named by seat left (seats.yaml:3) and by seat right: "
        "give it to one of them (seats.yaml:6)",
        "0000:01:00.1 (AD104 Audio) is named by seat left (seats.yaml:3) and by seat right: "
        "give it to one of them (seats.yaml:6)",
    )


def test_all_conflicts_of_all_seats_are_said_at_once():
    wish = two_seats(
        {"gpu": PciMatch(address(LEFT_GPU), PciId.parse("0001:0002"), 1)},
        {"usb": (socket((99,), line=2),), "domain": "win12", "line": 3},
    )

    found = refusals(wish, two_seat_pc())

    assert [sentence.rpartition("(")[2] for sentence in found] == [
        "seats.yaml:1)",
        "seats.yaml:2)",
        "seats.yaml:3)",
    ]


def test_the_lines_of_a_file_that_was_read_are_those_of_its_refusals():
    text = render_wish(two_seat_wish()).replace("10de:2786", "10de:2787")
    line = next(n for n, words in enumerate(text.splitlines(), 1) if "10de:2787" in words)

    (sentence,) = refusals(parse_wish(text, "/etc/seats.yaml"), two_seat_pc())

    assert sentence.endswith(f"(/etc/seats.yaml:{line})")


# Guests


def guests(host: Host, *more: Guest) -> Host:
    return replace(host, guests=(*(host.guests or ()), *more))


def test_a_domain_that_does_not_exist_is_refused_with_the_nearest_and_nothing_is_created():
    assert refusal(one_seat(domain="win1l", line=2, guest_line=3), two_seat_pc()) == (
        "win1l is no libvirt domain, so seat left has no guest: did you mean win11? (seats.yaml:3)"
    )


@pytest.mark.parametrize(
    ("path", "holds"),
    (
        ("/dev/sda", "/"),
        ("/dev/sda2", "/"),
        ("/dev/sda1", "EFI system partition"),
        ("/dev/mapper/vg0-srv", "/srv"),
        ("/dev/sdb", "/srv"),
        ("/dev/sdc", "an active volume"),
        ("/dev/sda3", ""),
        ("/dev/mapper/vg1-free", ""),
        ("/dev/disk/by-id/whatever", ""),  # `apply` follows it
        ("/dev.img", ""),
    ),
)
def test_a_disk_that_the_host_uses_is_no_guests(path, holds):
    names = {"sda": (), "sda1": ("sda",), "sda2": ("sda",), "sda3": ("sda",), "sdb": (), "sdc": ()}
    blocks = [BlockDevice(name, "8:0", below) for name, below in names.items()]
    blocks += [BlockDevice("dm-0", "254:0", ("sdb",), label="vg0-srv", kind="LVM")]
    blocks += [BlockDevice("dm-1", "254:1", ("sdc",), label="vg1-free", kind="LVM")]
    mounts = [("sda2", "/"), ("sda1", "EFI system partition"), ("dm-0", "/srv")]
    mounts += [("dm-0", "an active volume"), ("dm-1", "an active volume")]
    host = replace(
        two_seat_pc(), blocks=tuple(blocks), mounts=tuple(Mount(*mount) for mount in mounts)
    )
    wish = one_seat(create=NewGuest("a", 2**30, 1, disk_path=path), line=2, guest_line=3)
    if not holds:
        assign(wish, host)
        return

    said = refusal(wish, host)

    assert said.startswith(f"{path} holds {holds} (")
    assert "name another for seat left (seats.yaml:3)" in said


def test_guests_that_nobody_asked_about_are_not_refused():
    host = replace(two_seat_pc(), guests=None)

    assert assign(one_seat(domain="win1l"), host).seats[0].seat.domain == "win1l"


def test_one_guest_for_two_seats_is_refused():
    wish = two_seats({"domain": "win11"}, {"domain": "win11"})

    assert refusal(wish, two_seat_pc()) == (
        "win11 is the guest of seat left and of seat right: give each its own"
    )


def test_one_disk_for_two_guests_is_refused():
    wish = two_seats(
        {"create": NewGuest("a", 2**30, 1, disk_path="/d.qcow2")},
        {"create": NewGuest("b", 2**30, 1, disk_path="/d.qcow2")},
    )

    assert refusal(wish, two_seat_pc()) == (
        "/d.qcow2 is the disk of seat left and of seat right: give each its own"
    )


def test_a_domain_of_somebody_else_is_not_created_again_and_ours_is_left_as_created():
    wish = one_seat(create=NewGuest("box", 2**30, 1))
    theirs = guests(two_seat_pc(), Guest("box", "u1"))
    ours = guests(two_seat_pc(), Guest("box", "u1", seat="left", created=True))

    assert "box is a libvirt domain that is not ours to create" in refusal(wish, theirs)
    assert assign(wish, ours).seats[0].seat.guest_name == "box"


HELD_OTHERWISE = {
    "interface": """<interface type='hostdev' managed='yes'>
  <source><address type='pci' domain='0' bus='3' slot='0' function='0'/></source>
</interface>""",
    "disk": """<disk type='nvme' device='disk'>
  <source type='pci' managed='yes' namespace='1'>
    <address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>
  </source>
</disk>""",
}


@pytest.mark.parametrize(
    ("element", "words"),
    [("interface", "<interface type='hostdev'>"), ("disk", "<disk type='nvme'>")],
)
def test_what_the_seats_own_guest_has_in_another_way_than_by_hostdev_is_not_adopted(element, words):
    xml = WIN11_XML.replace("</devices>", f"{HELD_OTHERWISE[element]}</devices>")
    host = replace(two_seat_pc(), guests=(parse_guest(xml, state="shut off"),))

    assert refusal(one_seat(domain="win11", usb=(pci(LEFT_USB, line=5),)), host) == (
        "0000:03:00.0 (FL1100 USB 3.0) of seat left is in the definition of its guest win11 as "
        f"{words}, which is not taken over: take it out there (virsh edit win11), `apply` puts it "
        "in (seats.yaml:5)"
    )


@pytest.mark.parametrize("state", ["running", "shut off"])
def test_a_function_in_the_definition_of_another_guest_is_refused(state):
    hostdev = Hostdev(pci=address(LEFT_SOUND))
    host = guests(two_seat_pc(), Guest("old", "u2", state, hostdevs=(hostdev,)))

    assert refusal(one_seat(gpu=pci(LEFT_GPU), domain="win11"), host) == (
        "0000:01:00.1 (AD104 Audio) of seat left is in the definition of guest old: "
        "take it out (virsh edit old)"
    )


def test_a_function_that_another_guest_holds_now_is_refused_with_all_of_its_group():
    hostdev = Hostdev(pci=address(LEFT_SOUND), live=True)
    host = guests(two_seat_pc(), Guest("old", "u2", "running", hostdevs=(hostdev,)))

    gpu, sound = refusals(one_seat(gpu=pci(LEFT_GPU), domain="win11"), host)

    assert gpu.startswith(f"{LEFT_NAME} cannot go to seat left: shares IOMMU group 1 with 0000:01:")
    assert sound == (
        "0000:01:00.1 (AD104 Audio) cannot go to seat left: is held by guest old (domain u2): "
        "stop that guest and take the device out of it"
    )


@pytest.mark.parametrize("state", ["running", "shut off"])
def test_a_function_that_the_seats_own_guest_has_already_is_adopted(state):
    hostdevs = (Hostdev(pci=address(LEFT_GPU)), Hostdev(pci=address(LEFT_GPU), live=True))
    host = replace(two_seat_pc(), guests=(Guest("win11", "u3", state, hostdevs=hostdevs),))

    assert taken(one_seat(gpu=pci(LEFT_GPU), domain="win11"), host)[0][0] == LEFT_GPU


def test_what_we_gave_another_guest_moves_when_that_guest_is_off_and_only_then():
    hostdevs = (
        Hostdev(pci=address(LEFT_GPU), alias="ua-phyllome-right-gpu-1"),
        Hostdev(pci=address(LEFT_GPU), alias="ua-phyllome-right-gpu-1", live=True),
    )
    wish = one_seat(gpu=pci(LEFT_GPU), domain="win11")
    off = guests(two_seat_pc(), Guest("right", "u4", seat="right", hostdevs=hostdevs[:1]))
    running = guests(
        two_seat_pc(), Guest("right", "u4", "running", seat="right", hostdevs=hostdevs)
    )

    assert taken(wish, off)[0][0] == LEFT_GPU
    assert refusal(wish, running) == (
        f"{LEFT_NAME} of seat left is in guest right, which is running: `phyllome-seat stop right`"
    )


def test_a_running_guest_with_another_member_of_the_group_is_in_the_way():
    hostdev = Hostdev(pci=address(RIGHT_USB), live=True)
    host = with_function(two_seat_pc(), RIGHT_USB, iommu_group=14, driver="vfio-pci")
    host = guests(host, Guest("old", "u5", "running", hostdevs=(hostdev,)))

    assert refusal(one_seat(usb=(pci(LEFT_USB),)), host) == (
        "0000:03:00.0 (FL1100 USB 3.0) cannot go to seat left: shares IOMMU group 14 with "
        "0000:04:00.0 (FL1100 USB 3.0), which is held by guest old (domain u5): "
        "stop that guest and take the device out of it"
    )


@pytest.mark.parametrize(
    ("hostdev", "words"),
    [
        (Hostdev(usb_bus=2, usb_number=14, live=True), "cannot go to seat left: is held by guest"),
        (Hostdev(usb_id=UsbId(0x0781, 0x5581)), "(Ultra) of seat left is in the definition of"),
    ],
)
def test_a_usb_device_that_another_guest_has_is_refused(hostdev, words):
    host = guests(two_seat_pc(), Guest("old", "u6", "running", hostdevs=(hostdev,)))

    assert refusal(one_seat(usb=(socket((3,)),)), host).startswith(f"0000:00:14.0/usb3/13 {words}")


def test_guests_larger_than_the_pc_are_refused():
    host = replace(
        two_seat_pc(),
        memory=Memory(total_kib=16 * 2**20),
        cpus=(*(Cpu(n) for n in range(4)), Cpu(4, online=False)),
    )
    small = Wish(seats=(Seat("a", create=NewGuest("a", 12 * 2**30, 3)),))

    assert assign(small, host)
    assert refusal(replace(small, host_memory_bytes=5 * 2**30), host) == (
        "the guests are to have 12 GiB and the host 5 GiB, but this PC has 16 GiB: "
        "make `memory` smaller"
    )
    assert refusal(replace(small, host_cpus=2), host) == (
        "guest a is to have 3 CPUs, but this PC has 4, of which the host keeps 2: "
        "make `cpus` smaller"
    )


# Real machines, recorded

MACHINES = (
    "64kramsystem_vga_passthrough",
    "64kramsystem_vga_passthrough_2",
    "64kramsystem_vga_passthrough_3",
    "64kramsystem_vga_passthrough_4",
    "Mistikan_hl_cluster",
    "OzzyHelix_virtio_guide",
    "sirspudd_chaos_reins",
)


def machine(name: str) -> tuple[Host, dict[str, Any]]:
    """Return a machine, with a driver on all that the truth calls an endpoint: no list has any."""
    recording = json.loads(recorded(f"iommu/{name}.json").read_text(encoding="utf-8"))
    devices = []
    for where, device in recording["devices"].items():
        code = int(device["class_id"], 16) << 8
        if code == USB & ~0xFF:
            code = USB
        is_bridge = device["class_id"].startswith("06")
        driver = ("pcieport" if device["class_id"] == "0604" else None) if is_bridge else "some"
        what = f"{device['vendor']}:{device['device']}"
        devices.append(function(where, what, code, device["group"], driver, name=device["desc"]))
    count_tested("machines", name)
    return Host(pci=tuple(devices)), recording["truth"]


def named_after(sentence: str, words: str) -> set[str]:
    _, _, rest = sentence.partition(words)
    return {word.strip(",:") for word in rest.split() if word.count(":") >= 2 and "." in word}


@pytest.mark.parametrize("name", MACHINES)
def test_each_recorded_gpu_is_accepted_or_refused_naming_exactly_what_blocks_it(name):
    host, truth = machine(name)

    for gpu in truth["gpus"]:
        wish = one_seat(gpu=pci(gpu["bdf"], host))
        if not gpu["foreign_endpoints"]:
            got = set(taken(replace(wish, console="none"), host)[0])
            assert got >= set(gpu["group_members"]) - set(gpu["foreign_bridges"])
            assert got <= {gpu["bdf"], *gpu["slot_functions"]}
            continue
        shares = [s for s in refusals(wish, host) if "shares IOMMU group" in s]
        assert len(shares) == 1
        assert named_after(shares[0], "with ") == set(gpu["foreign_endpoints"])


@pytest.mark.parametrize("name", MACHINES)
def test_each_recorded_usb_controller_is_accepted_or_refused_naming_all_others(name):
    host, truth = machine(name)

    for controller in truth["usb_controllers"]:
        wish = one_seat(usb=(pci(controller["bdf"], host),))
        if controller["isolated"]:
            assert taken(wish, host) == [[controller["bdf"]]]
            continue
        shares = [s for s in refusals(wish, host) if "shares IOMMU group" in s]
        assert len(shares) == 1
        assert named_after(shares[0], "with ") == set(controller["others"])


@pytest.mark.parametrize(
    ("name", "gpu", "others"),
    [
        ("OzzyHelix_virtio_guide", "0000:05:00.0", 3),  # sound, USB and UCSI, a group each
        ("Mistikan_hl_cluster", "0000:03:00.0", 1),
        ("sirspudd_chaos_reins", "0000:0d:00.0", 1),
    ],
)
def test_a_recorded_card_whose_sound_is_in_another_group_goes_whole(name, gpu, others):
    host, _ = machine(name)
    functions = [f"{gpu[:-1]}{number}" for number in range(others + 1)]
    groups = {host.by_address[address(where)].iommu_group for where in functions}

    assert len(groups) == others + 1
    assert taken(replace(one_seat(gpu=pci(gpu, host)), console="none"), host) == [functions]


def test_a_recorded_member_without_a_driver_blocks_no_usb_controller():
    host, _ = machine("Mistikan_hl_cluster")
    driverless = with_function(host, "0000:00:14.2", driver=None)
    wish = one_seat(usb=(pci("0000:00:14.0", host),))

    assert len(refusals(wish, host)) == 1
    assert taken(wish, driverless) == [["0000:00:14.0"]]


# Any wish on any grouping: assigned by the rules, or refused

FUNCTIONS = [str(device.address) for device in two_seat_pc().pci]
usb_matches = st.one_of(
    st.sampled_from([pci(LEFT_USB), pci(RIGHT_USB), pci(HOST_USB), pci(DISK)]),
    st.builds(
        socket,
        st.sampled_from([(), (1,), (3,), (4,), (4, 1), (4, 2, 1), (13,)]),
        st.sampled_from([(3,), (13,), (14,), (14, 1)]),
    ),
    st.builds(
        DeviceMatch,
        st.sampled_from([device.id for device in two_seat_pc().usb]),
        st.sampled_from([None, "4C53"]),
    ),
)
wanted_seats = st.builds(
    Seat,
    st.uuids().map(lambda u: f"s{u.hex[:8]}"),
    gpu=st.none() | st.sampled_from([LEFT_GPU, RIGHT_GPU, RIGHT_GPU, HOST_GPU, DISK]).map(pci),
    monitor=st.none()
    | st.builds(MonitorMatch, name=st.sampled_from(["ROG PG279Q", "DELL U2720Q"])),
    usb=st.lists(usb_matches, max_size=3, unique=True).map(tuple),
    domain=st.sampled_from([None, None, None, "win11", "none"]),
)
machines = st.builds(
    lambda groups, drivers: with_pci(
        two_seat_pc(),
        lambda d: replace(
            d,
            iommu_group=groups.get(str(d.address), d.iommu_group),
            driver=drivers.get(str(d.address), d.driver),
        ),
    ),
    st.dictionaries(st.sampled_from(FUNCTIONS), st.none() | st.integers(1, 15), max_size=2),
    st.dictionaries(
        st.sampled_from(FUNCTIONS), st.sampled_from([None, "vfio-pci", "nvidia"]), max_size=3
    ),
)


@given(machines, st.lists(wanted_seats, max_size=3, unique_by=lambda s: s.name), st.booleans())
def test_what_is_assigned_is_named_whole_in_its_groups_and_only_one_seats(host, wanted, keeps):
    wish = Wish(tuple(wanted), console="keep" if keeps else "none")
    try:
        assignment = assign(wish, host)
    except AssignmentError as error:
        assert error.conflicts
        assert all(sentence.isprintable() for sentence in error.conflicts)
        return

    leaving = assignment.addresses
    assert len(set(leaving)) == len(leaving)
    assert not {address(DISK), address(NETWORK)} & set(leaving)
    for seat in assignment.seats:
        for function_address in seat.addresses:
            assert host.by_address[function_address].iommu_group is not None
            assert not find_blockers(host, function_address, seat.addresses)
    for device in host.usb:
        owner = find_owner(assignment, device)
        assert owner is None or owner.seat in {seat.seat.name for seat in assignment.seats}
