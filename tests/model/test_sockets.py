"""Sockets learned by what was plugged into them."""

from dataclasses import replace

from phyllome_seat.model.sockets import find_learned, plugs, render_socket, socket_json
from tests.model.hosts import HOST_USB, port, two_seat_pc, usb_device


def after(*devices):
    """What is learned when these are plugged in."""
    host = two_seat_pc()
    return find_learned(replace(host, usb=(*host.usb, *devices)), plugs(host), "left")


def stick(sysname, where, **how):
    return usb_device(sysname, f"{HOST_USB}/{where}", "0781:5581", "Ultra", **how)


def test_both_speeds_of_a_socket_are_one_place():
    (socket,) = after(stick("1-3", "usb2/3"))

    assert socket.ports == (port(f"{HOST_USB}/usb2/3"), port(f"{HOST_USB}/usb3/13"))
    text = render_socket(socket)
    assert text.startswith("USB 2 port 3, USB 3 port 13 of 0000:00:14.0")
    assert text.endswith(
        f'      - port: {{controller: "{HOST_USB}", id: "8086:7ae0", usb2: "3", usb3: "13"}}\n'
    )


def test_what_was_plugged_in_before_is_not_learned_until_it_is_plugged_again():
    host = two_seat_pc()
    again = tuple(replace(d, number=77) if d.sysname == "1-1" else d for d in host.usb)

    assert find_learned(host, plugs(host)) == ()
    (socket,) = find_learned(replace(host, usb=again), plugs(host))
    assert socket.ports == (port(f"{HOST_USB}/usb2/1"),)
    assert "one speed of this socket only" in render_socket(socket)


def test_both_halves_of_a_hub_and_what_came_with_it_are_one_socket():
    host = two_seat_pc()
    taken = tuple(d for d in host.usb if d.sysname not in ("1-4", "1-4.1", "1-4.2", "2-14"))

    sockets = find_learned(host, plugs(replace(host, usb=taken)))

    assert [socket.ports for socket in sockets] == [
        (port(f"{HOST_USB}/usb2/4"), port(f"{HOST_USB}/usb3/14"))
    ]
    assert "(a hub: all behind it)" in render_socket(sockets[0])


def test_a_socket_of_a_hub_that_was_there_is_learned_as_its_own():
    (socket,) = after(stick("1-4.3", "usb2/4.3"))

    assert socket.ports == (port(f"{HOST_USB}/usb2/4.3"), port(f"{HOST_USB}/usb3/14.3"))


def test_two_sockets_at_once_are_two():
    assert len(after(stick("1-5", "usb2/5"), stick("1-6", "usb2/6"))) == 2


def test_a_learned_socket_is_json_too():
    (socket,) = after(stick("1-3", "usb2/3"))

    assert socket_json(socket)["ports"] == [f"{HOST_USB}/usb2/3", f"{HOST_USB}/usb3/13"]
    assert socket_json(socket)["plugged"] == "Ultra"
