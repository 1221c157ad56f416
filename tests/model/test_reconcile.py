"""What goes into which guest, case by case; `test_reconcile_rounds` has the random ones."""

from dataclasses import replace

import pytest

from phyllome_seat.model.address import PciId, UsbId
from phyllome_seat.model.assign_usb import assign_usb
from phyllome_seat.model.devices import BlockDevice, Guest, Host, Hostdev, Mount
from phyllome_seat.model.guest_usb import UsbAlias, next_alias, parse_alias
from phyllome_seat.model.lend import NOTHING_SAID, Lend, Lending, Released
from phyllome_seat.model.reconcile import reconcile, reconcile_guest, why_not_restored
from phyllome_seat.model.seat import DeviceMatch, PciMatch, PortMatch, Seat, Wish
from phyllome_seat.model.step import AttachUsb, DetachUsb, RenumberSaved
from tests.model.hosts import HOST_USB, LEFT_USB, address, port, two_seat_pc, usb_device

HOST_ID, OTHER_ID = PciId.parse("8086:7ae0"), PciId.parse("1b73:1100")


def plugged(number: int, device):
    return replace(device, number=number)


PAD = plugged(
    30,
    usb_device("1-7", f"{HOST_USB}/usb2/7", "045e:028e", "Pad", interface="ff5d01", driver="xpad"),
)
TWIN = plugged(31, replace(PAD, sysname="1-8", port=port(f"{HOST_USB}/usb2/8")))
STICK = plugged(
    32,
    usb_device("1-6", f"{HOST_USB}/usb2/6", "0781:5581", "Stick", serial="S1", interface="080650"),
)


def socket(number: int | tuple[int, ...]) -> PortMatch:
    return PortMatch(
        address(HOST_USB), HOST_ID, usb2=number if isinstance(number, tuple) else (number,)
    )


def wish(*left, right=(), **changes) -> Wish:
    seats = (
        Seat("left", usb=left, domain="left"),
        Seat("right", usb=tuple(right), domain="right"),
    )
    return Wish(seats, **changes)


def guest(name: str, *hostdevs: Hostdev, state: str = "running", **changes) -> Guest:
    known = {"seat": name, "hostdevs": hostdevs, "state": state, "usb_free": 8} | changes
    return Guest(name, f"uuid-{name}", **known)


def pc(*devices, guests=(), **changes) -> Host:
    host = two_seat_pc()
    return replace(host, usb=(*host.usb, *devices), guests=tuple(guests), **changes)


def held(device, seat="left", **changes) -> Hostdev:
    alias = next_alias(Guest("", ""), seat, device.port, 1.0)
    known = {
        "usb_bus": device.bus,
        "usb_number": device.number,
        "usb_id": device.id,
        "alias": alias,
        "live": True,
    }
    return Hostdev(**known | changes)


def settle(asked: Wish, host: Host, lending: Lending = NOTHING_SAID, now_s: float = 1000.0):
    return reconcile(assign_usb(asked, host)[0], host, lending, now_s)


def kinds(result) -> list[tuple[str, str]]:
    return [(kept.device.sysname, kept.kind) for kept in result.kept]


def test_what_is_plugged_into_a_seats_port_goes_to_its_running_guest():
    result = settle(wish(socket(7)), pc(PAD, guests=[guest("left"), guest("right")]))

    (step,) = result.steps
    assert isinstance(step, AttachUsb)
    assert (step.guest, step.uuid, step.seat, step.device) == ("left", "uuid-left", "left", PAD)
    assert step.why == f"port {HOST_USB}/usb2/7"
    assert parse_alias(step.alias) == UsbAlias("left", PAD.port, 1000)
    assert result.again_s is None


def test_what_the_guest_has_is_not_attached_again():
    result = settle(wish(socket(7)), pc(PAD, guests=[guest("left", held(PAD))]))

    assert (result.steps, result.kept) == ((), ())


@pytest.mark.parametrize("state", ["shut off", "crashed", "in shutdown", "pmsuspended"])
def test_a_guest_that_is_off_or_going_gets_nothing(state):
    assert settle(wish(socket(7)), pc(PAD, guests=[guest("left", state=state)])).steps == ()


def test_a_paused_guest_gets_its_devices():
    result = settle(wish(socket(7)), pc(PAD, guests=[guest("left", state="paused")]))

    assert len(result.steps) == 1


def test_a_domain_that_apply_did_not_set_up_gets_nothing():
    assert settle(wish(socket(7)), pc(PAD, guests=[guest("left", seat=None)])).steps == ()


def test_nothing_is_done_where_libvirt_was_not_asked():
    host = replace(pc(PAD), guests=None)

    assert settle(wish(socket(7)), host).steps == ()


def test_an_entry_of_a_device_that_went_is_taken_out():
    (step,) = settle(wish(socket(7)), pc(guests=[guest("left", held(PAD))])).steps

    assert isinstance(step, DetachUsb)
    assert (step.guest, step.alias, step.number) == ("left", held(PAD).alias, PAD.number)
    assert step.device is None


def test_a_device_that_came_back_with_another_number_follows_its_stale_entry():
    back = replace(PAD, number=40)

    detach, attach = settle(wish(socket(7)), pc(back, guests=[guest("left", held(PAD))])).steps

    assert isinstance(detach, DetachUsb) and isinstance(attach, AttachUsb)
    assert detach.alias == held(PAD).alias != attach.alias
    assert attach.device == back


@pytest.mark.parametrize(
    "other",
    [
        replace(PAD, id=UsbId.parse("045e:0291")),
        replace(TWIN, bus=PAD.bus, number=PAD.number),
    ],
    ids=["another id", "a twin at another port"],
)
def test_a_number_that_another_device_has_now_is_stale(other):
    steps = settle(wish(socket(7)), pc(other, guests=[guest("left", held(PAD))])).steps

    assert isinstance(steps[0], DetachUsb)
    assert [s.device.id for s in steps[1:]] == ([other.id] if other.port == PAD.port else [])


def test_a_device_that_is_being_reset_is_left_alone_until_it_has_a_number():
    reset = replace(PAD, number=0)

    inside = settle(wish(socket(7)), pc(reset, guests=[guest("left", held(PAD))]), now_s=50.0)
    outside = settle(wish(socket(7)), pc(reset, guests=[guest("left")]), now_s=50.0)

    assert inside.steps == outside.steps == ()
    assert inside.again_s == outside.again_s == 51.0


def test_what_is_somebody_elses_in_the_guest_is_left_alone():
    foreign = held(PAD, alias="hostdev0")

    gone = settle(wish(socket(7)), pc(guests=[guest("left", foreign)]))
    there = settle(wish(socket(7)), pc(PAD, guests=[guest("left", foreign)]))

    assert gone.steps == there.steps == ()


def test_what_another_domain_has_is_never_attached():
    other = Guest("other", "uuid-other", "running", hostdevs=(held(PAD, alias=None),))

    result = settle(wish(socket(7)), pc(PAD, guests=[guest("left"), other]))

    assert result.steps == ()
    assert kinds(result) == [("1-7", "guest")]
    assert "is held by guest other" in str(result.kept[0])


def test_a_device_that_moved_to_the_other_seats_socket_changes_guests_in_two_rounds():
    asked = wish(socket(7), right=[socket(8)])
    moved = replace(TWIN, number=PAD.number)  # at port 8, with the number it had at port 7
    host = pc(moved, guests=[guest("left", held(PAD)), guest("right")])

    first = settle(asked, host, now_s=7.0)

    (detach,) = first.steps
    assert isinstance(detach, DetachUsb) and detach.guest == "left"
    assert kinds(first) == [("1-8", "later")]
    assert first.again_s == 7.0
    (attach,) = settle(asked, replace(host, guests=(guest("left"), guest("right")))).steps
    assert isinstance(attach, AttachUsb) and attach.guest == "right"


def test_twins_go_each_to_the_seat_whose_socket_they_are_in():
    host = pc(PAD, TWIN, guests=[guest("left"), guest("right")])

    steps = settle(wish(socket(7), right=[socket(8)]), host).steps

    assert {(s.guest, s.device.sysname) for s in steps} == {("left", "1-7"), ("right", "1-8")}


def test_the_most_specific_rule_wins():
    behind = usb_device("1-4.3", f"{HOST_USB}/usb2/4.3", "0781:5581", "Stick", serial="S1")
    guests = [guest("left"), guest("right")]
    by_id, by_serial = (DeviceMatch(behind.id, serial) for serial in (None, "S1"))

    def goes_to(left, right):
        result = settle(wish(*left, right=right), pc(behind, guests=guests))
        return [s.guest for s in result.steps if s.device == behind]

    assert goes_to([socket(4)], [by_id]) == ["right"]
    assert goes_to([by_serial], [by_id]) == ["left"]
    assert goes_to([by_serial], [socket((4, 3))]) == ["right"]
    assert goes_to([socket(4)], [socket((4, 3))]) == ["right"]
    assert goes_to([socket(4)], []) == ["left"]


def test_a_hub_stays_and_all_behind_it_goes():
    result = settle(wish(socket(4)), pc(guests=[guest("left")]))

    assert {s.device.sysname for s in result.steps} == {"1-4.1", "1-4.2"}
    assert ("1-4", "hub") in kinds(result)


def test_a_device_with_a_hubs_interface_is_a_hub():
    odd = replace(PAD, interfaces=("030101", "090000"))

    result = settle(wish(socket(7)), pc(odd, guests=[guest("left")]))

    assert (result.steps, kinds(result)) == ((), [("1-7", "hub")])


@pytest.mark.parametrize("point", ["/media/stick", "swap", "an active volume", "/"])
def test_mass_storage_that_the_host_uses_stays(point):
    host = pc(STICK, guests=[guest("left")])
    host = replace(
        host,
        blocks=(*host.blocks, BlockDevice("sdb", "8:16", usb=STICK.port)),
        mounts=(*host.mounts, Mount("sdb", point)),
    )

    result = settle(wish(socket(6)), host)

    assert (result.steps, kinds(result)) == ((), [("1-6", "host")])
    assert f"holds {point}" in str(result.kept[0])


def test_mass_storage_that_nobody_uses_goes():
    host = pc(STICK, guests=[guest("left")])
    host = replace(host, blocks=(*host.blocks, BlockDevice("sdb", "8:16", usb=STICK.port)))

    assert len(settle(wish(socket(6)), host).steps) == 1


def test_the_hosts_last_keyboard_stays_unless_it_is_given_up():
    host = pc(guests=[guest("left")])
    only = replace(
        host,
        usb=tuple(d for d in host.usb if d.sysname == "1-1"),
        inputs=tuple(i for i in host.inputs if i.node == "event3"),
    )

    kept = settle(wish(socket(1)), only)
    given = settle(wish(socket(1), console="none"), only)

    assert (kept.steps, kinds(kept)) == ((), [("1-1", "host")])
    assert len(given.steps) == 1


def test_what_is_on_a_controller_that_a_guest_has_whole_is_left_alone():
    whole = PciMatch(address(LEFT_USB), OTHER_ID)
    asked = wish(whole, right=[DeviceMatch(UsbId.parse("046d:c52b"))])

    assert settle(asked, pc(guests=[guest("left"), guest("right")])).steps == ()


def test_a_device_on_no_pci_controller_stays():
    lost = replace(PAD, port=None)

    result = settle(wish(DeviceMatch(PAD.id)), pc(lost, guests=[guest("left")]))

    assert (result.steps, kinds(result)) == ((), [("1-7", "place")])


def test_a_guest_without_a_free_port_is_said_with_the_remedy():
    asked = wish(socket(7), socket(8))

    one = settle(asked, pc(PAD, TWIN, guests=[guest("left", usb_free=1)]))
    stale = settle(asked, pc(PAD, guests=[guest("left", held(STICK), usb_free=0)]))
    unknown = settle(asked, pc(PAD, TWIN, guests=[guest("left", usb_free=None)]))

    assert [s.device.sysname for s in one.steps] == ["1-7"]
    assert kinds(one) == [("1-8", "port")]
    assert "`apply`" in str(one.kept[0])
    assert [type(s) for s in stale.steps] == [DetachUsb, AttachUsb]
    assert len(unknown.steps) == 2


def test_what_is_in_no_seats_place_is_the_hosts_or_asked_for_or_a_seats():
    guests = [guest("left")]

    host = settle(wish(), pc(PAD, guests=guests))
    ask = settle(wish(unknown_usb="ask"), pc(PAD, guests=guests))
    seat = settle(wish(unknown_usb="left"), pc(PAD, guests=guests))

    assert (host.steps, host.kept) == ((), ())
    assert ask.steps == ()
    assert ("1-7", "ask") in kinds(ask) and ("1-4", "ask") not in kinds(ask)
    assert "1-7" in {s.device.sysname for s in seat.steps}


def test_our_devices_leave_a_guest_that_is_no_seats_any_more():
    (step,) = settle(Wish(), pc(PAD, guests=[guest("left", held(PAD))])).steps

    assert isinstance(step, DetachUsb)
    assert step.why == "no seat is to have it"


def test_one_guests_steps_are_those_of_the_whole_that_are_its_own():
    host = pc(PAD, TWIN, guests=[guest("left"), guest("right")])
    assignment, _ = assign_usb(wish(socket(7), right=[socket(8)]), host)

    (step,) = reconcile_guest("right", assignment, host).steps

    assert step.guest == "right"


# -- lent and released -----------------------------------------------------------------------------

LENT = Lend(PAD.port, PAD.id, PAD.serial, "right", since_s=900.0)


def lent(**changes) -> Lending:
    return Lending(lends=(replace(LENT, **changes),))


def test_a_lent_device_goes_to_the_other_seat_and_back_when_the_lend_ends():
    asked, guests = wish(socket(7)), [guest("left"), guest("right", held(PAD, "right"))]

    during = settle(asked, pc(PAD, guests=guests), lent(until="time", ends_at_s=1001.0))
    after = settle(asked, pc(PAD, guests=guests), lent(until="time", ends_at_s=1000.0))

    assert (during.steps, during.again_s) == ((), 1001.0)
    assert during.lending == lent(until="time", ends_at_s=1001.0)
    assert [(type(s), s.guest) for s in after.steps] == [(DetachUsb, "right")]
    assert after.lending == Lending()
    assert len(after.ended) == 1


def test_a_lend_until_stop_ends_when_the_guest_is_off():
    off = settle(wish(), pc(PAD, guests=[guest("right", state="shut off")]), lent())
    not_asked = settle(wish(), replace(pc(PAD), guests=None), lent())

    assert (off.lending.lends, len(off.ended)) == ((), 1)
    assert not_asked.lending == lent()


def test_a_lend_until_stop_ends_when_the_guest_was_started_again_meanwhile():
    guests = [guest("right", held(PAD, "right"), run="3_b007")]

    during = settle(wish(), pc(PAD, guests=guests), lent())
    still = settle(wish(), pc(PAD, guests=guests), during.lending)
    again = settle(wish(), pc(PAD, guests=[guest("right", run="4_b007")]), during.lending)
    until_unplug = settle(wish(), pc(PAD, guests=guests), lent(until="unplug", run="2_b007"))

    assert during.lending == still.lending == lent(run="3_b007")
    assert (again.lending.lends, len(again.ended), again.steps) == ((), 1, ())
    assert until_unplug.lending == lent(until="unplug", run="2_b007")


def test_what_a_guest_had_before_it_was_saved_and_restored_is_given_to_it_anew():
    before = guest("left", run="3_b007")
    alias = next_alias(before, "left", PAD.port, 1.0)
    entry = held(PAD, "left", alias=alias)

    same = settle(wish(socket(7)), pc(PAD, guests=[guest("left", entry, run="3_b007")]))
    restored = settle(wish(socket(7)), pc(PAD, guests=[guest("left", entry, run="3_b008")]))

    assert same.steps == ()
    assert [type(step) for step in restored.steps] == [DetachUsb, AttachUsb]
    assert restored.steps[0].alias == alias != restored.steps[1].alias
    assert parse_alias(restored.steps[1].alias).run == "3_b008"


def test_a_saved_guest_is_told_the_number_of_what_was_plugged_in_again():
    away = guest("left", state="shut off", saved=(replace(held(PAD), live=False),))
    asked, again = wish(socket(7)), plugged(33, PAD)

    (step,) = settle(asked, pc(again, guests=[away])).steps
    assert isinstance(step, RenumberSaved)
    assert (step.uuid, step.seat, step.devices) == ("uuid-left", "left", (again,))
    assert "saved state of guest left" in str(step)

    for host in (pc(PAD, guests=[away]), pc(guests=[away]), pc(plugged(0, PAD), guests=[away])):
        assert settle(asked, host).steps == ()
    for other in (replace(away, seat=None), replace(away, name="nobodys"), replace(away, saved=())):
        assert settle(asked, pc(again, guests=[other])).steps == ()


def test_a_saved_guest_is_not_told_about_what_the_host_uses_by_now():
    away = guest("left", state="shut off", saved=(held(STICK, live=False),))
    again = plugged(33, STICK)
    used = {
        "blocks": (BlockDevice("sdz", "8:240", usb=STICK.port),),
        "mounts": (Mount("sdz", "/media/stick"),),
    }
    asked = wish(socket(6))
    free, busy = pc(again, guests=[away]), pc(again, guests=[away], **used)

    assert [type(step) for step in settle(asked, free).steps] == [RenumberSaved]
    assert settle(asked, busy).steps == ()
    assert why_not_restored(away, assign_usb(asked, free)[0], free) == ()
    (why,) = why_not_restored(away, assign_usb(asked, busy)[0], busy)
    assert "/media/stick" in why
    (why,) = why_not_restored(away, assign_usb(asked, pc())[0], pc())
    assert why == f"with what is not plugged into {STICK.port} now"


def test_a_lend_until_unplug_waits_a_moment_for_a_device_that_resets_itself():
    guests = [guest("right")]

    gone = settle(wish(), pc(guests=guests), lent(until="unplug"), now_s=1000.0)
    still = settle(wish(), pc(guests=guests), gone.lending, now_s=1004.0)
    back = settle(wish(), pc(replace(PAD, number=77), guests=guests), still.lending, now_s=1004.5)
    over = settle(wish(), pc(guests=guests), still.lending, now_s=1005.0)

    assert gone.lending.lends[0].gone_s == still.lending.lends[0].gone_s == 1000.0
    assert gone.again_s == still.again_s == 1005.0
    assert back.lending.lends[0].gone_s is None
    assert [s.device.number for s in back.steps] == [77]
    assert (over.lending.lends, len(over.ended)) == ((), 1)


def test_a_lend_is_of_a_device_and_not_of_what_is_plugged_in_after_it():
    other = replace(PAD, id=UsbId.parse("0781:5581"))

    unplug = settle(wish(), pc(other, guests=[guest("right")]), lent(until="unplug"))
    stop = settle(wish(), pc(other, guests=[guest("right")]), lent())

    assert unplug.steps == stop.steps == ()
    assert unplug.lending.lends == ()
    assert stop.lending == lent()


def test_a_phone_that_changes_its_id_stays_lent_by_its_serial_number():
    phone = replace(PAD, serial="R58", id=UsbId.parse("04e8:6860"))
    lending = Lending((replace(LENT, serial="R58"),))

    result = settle(wish(), pc(phone, guests=[guest("right")]), lending)

    assert len(result.steps) == 1
    assert result.lending.lends[0].id == phone.id


def test_a_lend_to_a_seat_that_is_no_more_has_ended():
    result = settle(Wish(), pc(PAD, guests=[]), lent(until="unplug"))

    assert len(result.ended) == 1


def test_a_released_device_stays_with_the_host_until_it_is_plugged_in_again():
    asked = wish(socket(7))
    said = Lending(released=(Released(PAD.port, PAD.id, None, PAD.bus, PAD.number, 900.0),))

    inside = settle(asked, pc(PAD, guests=[guest("left", held(PAD))]), said)
    outside = settle(asked, pc(PAD, guests=[guest("left")]), said)
    again = settle(asked, pc(replace(PAD, number=50), guests=[guest("left")]), said)

    assert [type(s) for s in inside.steps] == [DetachUsb]
    assert (outside.steps, kinds(outside)) == ((), [("1-7", "released")])
    assert outside.lending == said
    assert [type(s) for s in again.steps] == [AttachUsb]
    assert again.lending == Lending()


def test_a_released_device_that_comes_back_from_its_reset_is_still_released():
    asked = wish(socket(7))
    said = Lending(released=(Released(PAD.port, PAD.id, None, PAD.bus, PAD.number, 998.0),))

    renumbered = settle(asked, pc(replace(PAD, number=50), guests=[guest("left")]), said)
    gone = settle(asked, pc(guests=[guest("left")]), said, now_s=1100.0)
    later = settle(asked, pc(guests=[guest("left")]), gone.lending, now_s=1106.0)

    assert renumbered.steps == ()
    assert renumbered.lending.released[0].number == 50
    assert gone.again_s == 1105.0
    assert later.lending.released == ()


def test_lending_a_released_device_ends_its_release():
    said = Lending(
        (replace(LENT, seat="left"),),
        (Released(PAD.port, PAD.id, None, PAD.bus, PAD.number, 900.0),),
    )

    result = settle(wish(socket(7)), pc(PAD, guests=[guest("left")]), said)

    assert [type(s) for s in result.steps] == [AttachUsb]
    assert result.lending.released == ()


@pytest.mark.parametrize(
    "text", ["", "hostdev0", "ua-phyllome-left-usb0-1", "ua-phyllome-left-usb2_0_0-1", "ua-x-y-z"]
)
def test_an_alias_that_names_no_place_is_none(text):
    assert parse_alias(text) is None


def test_an_alias_says_seat_and_place():
    deep = port(f"{HOST_USB}/usb3/14.2.1")

    alias = next_alias(Guest("", ""), "my-seat", deep, 1764100000.9)
    assert parse_alias(alias) == UsbAlias("my-seat", deep, 1764100000)
