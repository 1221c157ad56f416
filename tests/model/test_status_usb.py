from __future__ import annotations

from dataclasses import replace

from phyllome_seat.model.lend import NOTHING_SAID, Lending
from phyllome_seat.model.status import find_status, render_status
from tests.model.hosts import HOST_USB
from tests.model.test_reconcile import LENT, PAD, TWIN, guest, held, pc, socket, wish


def status(asked, host, lending=NOTHING_SAID, now_s=3601.0):
    return find_status(asked, host, lending, now_s)


def usb(asked, host, lending=NOTHING_SAID, now_s=3601.0):
    return {
        seat["seat"]: [(e["port"], e["where"], e["for_s"], e["why"]) for e in seat["usb"]]
        for seat in status(asked, host, lending, now_s)["seats"]
    }


PAD_PORT = f"{HOST_USB}/usb2/7"


def test_a_device_in_its_guest_says_since_when_and_by_which_rule():
    host = pc(PAD, guests=[guest("left", held(PAD))])  # attached at second 1

    assert usb(wish(socket(7)), host) == {
        "left": [(PAD_PORT, "guest left", 3600, f"port {PAD_PORT}")],
        "right": [],
    }
    assert (
        f"  {PAD_PORT}  Pad (045e:028e): in guest left for 1 h: port {PAD_PORT}\n"
        in render_status(status(wish(socket(7)), host))
    )


def test_a_lent_device_stands_with_the_seat_that_has_it():
    host = pc(PAD, guests=[guest("left"), guest("right", held(PAD, "right"))])

    assert usb(wish(socket(7)), host, Lending((LENT,))) == {
        "left": [],
        "right": [(PAD_PORT, "guest right", 3600, "lent until the guest stops")],
    }


def test_what_is_not_in_its_guest_says_why():
    full = pc(PAD, guests=[guest("left", usb_free=0)])
    off = pc(PAD, guests=[guest("left", state="shut off")])
    to_do = pc(PAD, guests=[guest("left")])
    not_asked = replace(pc(PAD), guests=None)

    def why(host):
        ((_, where, for_s, why),) = usb(wish(socket(7)), host)["left"]
        assert for_s is None
        return where, why

    assert why(full)[0] == "host" and "no free USB port" in why(full)[1]
    assert why(off) == ("host", "its guest is off")
    assert why(to_do)[1].startswith("is to be attached")
    assert why(not_asked)[0] == "not known"
    assert "nobody knows where" in render_status(status(wish(socket(7)), not_asked))


def test_what_somebody_else_put_into_the_guest_has_no_time():
    host = pc(PAD, guests=[guest("left", held(PAD, alias="hostdev0"))])

    assert usb(wish(socket(7)), host)["left"] == [
        (PAD_PORT, "guest left", None, f"port {PAD_PORT}")
    ]


def test_a_device_that_is_asked_for_stands_at_the_end():
    asked = wish(socket(7), unknown_usb="ask")
    shown = render_status(status(asked, pc(PAD, TWIN, guests=[guest("left")])))

    assert f"phyllome-seat attach {HOST_USB}/usb2/8 SEAT" in shown
    assert f"attach {PAD_PORT} SEAT" not in shown
