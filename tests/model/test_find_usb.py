from __future__ import annotations

import pytest

from phyllome_seat.model.errors import UnknownDeviceError
from phyllome_seat.model.find_usb import find_usb
from tests.model.hosts import HOST_USB, LEFT_USB, applied_two_seat_pc, two_seat_pc


@pytest.mark.parametrize(
    ("text", "sysname"),
    [
        ("2-13", "2-13"),
        (f"{HOST_USB}/usb3/13", "2-13"),
        ("usb3/13", "2-13"),
        ("usb3 13", "2-13"),
        (f"{HOST_USB}/usb2/3", "2-13"),  # the other speed of its socket
        ("0781:5581", "2-13"),
        ("0781:5581/4C53", "2-13"),
        ("usb2/4.1", "1-4.1"),
    ],
)
def test_a_device_is_known_by_port_socket_id_serial_and_kernel_name(text, sysname):
    assert find_usb(two_seat_pc(), text).sysname == sysname


def test_a_port_comes_before_the_other_speed_of_its_socket():
    # both halves of the hub are plugged into one socket
    assert find_usb(two_seat_pc(), f"{HOST_USB}/usb2/4").sysname == "1-4"
    assert find_usb(two_seat_pc(), f"{HOST_USB}/usb3/14").sysname == "2-14"


def test_what_is_on_a_whole_controller_needs_no_lending():
    with pytest.raises(UnknownDeviceError, match=f"{LEFT_USB}, which a guest has whole"):
        find_usb(applied_two_seat_pc(), f"{LEFT_USB}/usb2/1")


@pytest.mark.parametrize("text", ["", "x" * 1000, "\x1b[31m"])
def test_nonsense_is_refused_without_being_printed_as_it_is(text):
    with pytest.raises(UnknownDeviceError) as caught:
        find_usb(two_seat_pc(), text)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 150
