from __future__ import annotations

from dataclasses import replace

from phyllome_seat.model.address import PciAddress, PciId, UsbId
from phyllome_seat.model.devices import Hostdev, Pending
from phyllome_seat.model.seat import DeviceMatch, PortMatch, Seat, Wish
from phyllome_seat.model.status import find_status, render_status
from tests.model.hosts import (
    HOST_USB,
    LEFT_GPU,
    LEFT_SOUND,
    address,
    applied_two_seat_pc,
    two_seat_pc,
    two_seat_wish,
    with_function,
)


def text(wish, host):
    return render_status(find_status(wish, host))


def test_what_is_out_of_sight_is_named_with_its_serial_as_remembered():
    lines = text(two_seat_wish(), applied_two_seat_pc()).splitlines()

    assert lines[:4] == [
        "seat left: guest win11: shut off",
        "  0000:01:00.0  GeForce RTX 4070  vfio-pci"
        "  monitor: DP-1 DELL U2720Q (serial 8KTXF13) (remembered)",
        "  0000:01:00.1  AD104 Audio  vfio-pci",
        "  0000:03:00.0  FL1100 USB 3.0  vfio-pci"
        "  with Left Keyboard (remembered), Receiver (remembered)",
    ]
    assert "seat right: guest right: no such domain yet" in lines
    assert "  device 20b1:0008 (serial R-77)  not plugged in" in lines


def test_a_socket_is_shown_with_both_speeds_and_what_is_plugged_in_either():
    assert "  0000:00:14.0/usb2/3 and 0000:00:14.0/usb3/13  with Ultra (serial 4C53)\n" in text(
        two_seat_wish(), two_seat_pc()
    )


def test_a_hub_s_port_is_shown_with_what_is_behind_it():
    port = PortMatch(address(HOST_USB), PciId.parse("8086:7ae0"), usb2=(4,))
    shown = text(Wish((Seat("left", usb=(port,)),)), two_seat_pc())

    assert "/usb2/4 and 0000:00:14.0/usb3/14  with Hub Mouse, Hub Keyboard\n" in shown


def test_a_card_known_by_its_monitor_is_shown_too():
    wish = two_seat_wish()
    by_monitor = replace(wish.seats[0], gpu=None)

    assert f"  {LEFT_GPU}  GeForce RTX 4070  nouveau" in text(Wish((by_monitor,)), two_seat_pc())


def test_what_does_not_hold_any_more_is_said_and_no_other_device_shown_for_it():
    moved = with_function(two_seat_pc(), LEFT_GPU, id=PciId.parse("10de:128b"), device_name="GT")

    lines = text(two_seat_wish(), moved).splitlines()

    assert lines[1].startswith(f"  {LEFT_GPU} is not 10de:2786, GT (10de:128b) is there now;")
    assert not any(LEFT_SOUND in line for line in lines)


def test_a_monitor_that_is_off_leaves_the_card_in_sight():
    host = two_seat_pc()
    off = replace(host, connectors=tuple(replace(c, monitor=None) for c in host.connectors))

    lines = text(two_seat_wish(), off).splitlines()

    assert lines[1] == f"  {LEFT_GPU}  GeForce RTX 4070  nouveau"
    assert "does not show monitor DELL U2720Q (serial 8KTXF13)" in lines[3]


def test_two_devices_of_one_name_are_said_to_be_two():
    twins = DeviceMatch(UsbId.parse("3434:0110"))
    wish = Wish((Seat("left", usb=(twins,)),))

    assert "3434:0110 is 2 devices, at " in text(wish, two_seat_pc())


def test_pending_writes_and_seats_that_no_file_names_are_shown():
    host = applied_two_seat_pc()
    sound = PciAddress.parse(LEFT_SOUND)
    waiting = Pending(sound, "snd_hda_intel", 77, ("pid 812 (wireplumber)",))
    shown = text(Wish(two_seat_wish().seats[:1]), replace(host, pending=(waiting,)))

    assert (
        f"{LEFT_SOUND}: unbind from snd_hda_intel pending (held by pid 812 (wireplumber))\n"
        in shown
    )
    assert "0000:02:00.0: bound for seat right, which is in no file\n" in shown


def test_a_running_guest_says_what_it_has():
    host = applied_two_seat_pc()
    (guest,) = host.guests_known
    has = (Hostdev(pci=address(LEFT_GPU), live=True), Hostdev(pci=address(LEFT_SOUND)))
    running = replace(host, guests=(replace(guest, state="running", hostdevs=has),))

    status = find_status(two_seat_wish(), running)

    assert status["seats"][0]["in_guest"] == [LEFT_GPU]
    assert render_status(status).startswith("seat left: guest win11: running\n")


def test_nothing_set_up_is_said():
    assert text(Wish(), two_seat_pc()) == "no seat is set up here, and the seat file names none\n"
    assert "not known: libvirt was not asked" in text(
        two_seat_wish(), replace(two_seat_pc(), guests=None)
    )
