"""What has left the host's sight is still known, as long as it is the same thing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import (
    Connector,
    Host,
    InputDevice,
    PciDevice,
    UsbDevice,
    UsbSocket,
)
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.seen import parse_seen, recall, remember, render_seen

GPU = PciDevice(PciAddress.parse("0000:01:00.0"), PciId(0x10DE, 0x2786), 0x030000, driver="nouveau")
XHCI = PciDevice(PciAddress.parse("0000:03:00.0"), PciId(0x1B73, 0x1100), 0x0C0330, driver="xhci")
PORT = UsbPort(XHCI.address, "usb2", (2,))
CONNECTOR = Connector(GPU.address, "DP-1", connected=True, monitor=Monitor("DEL", 0x41B1))
KEYBOARD = UsbDevice("1-2", PORT, UsbId(0x046D, 0xC52B), bus=1, number=4, drivers=("usbhid",))
NODE = InputDevice("event5", "Keyboard", ("key", "keyboard"), usb=PORT, pci=XHCI.address)
SOCKET = UsbSocket((PORT, UsbPort(XHCI.address, "usb3", (12,))), "hotplug")

WHOLE = Host((GPU, XHCI), (CONNECTOR,), (SOCKET,), (KEYBOARD,), (NODE,))


def bound(*devices, host=WHOLE):
    """The host after these functions were bound to vfio-pci: nothing hangs on them any more."""
    away = {device.address for device in devices}
    return replace(
        host,
        pci=tuple(replace(d, driver="vfio-pci") if d.address in away else d for d in host.pci),
        connectors=tuple(c for c in host.connectors if c.gpu not in away),
        sockets=tuple(s for s in host.sockets if s.ports[0].controller not in away),
        usb=tuple(d for d in host.usb if d.port.controller not in away),
        inputs=tuple(d for d in host.inputs if d.usb.controller not in away),
    )


def test_what_is_bound_away_is_recalled():
    seen = remember(Host(), WHOLE)

    host = recall(seen, bound(GPU, XHCI))

    assert host.connectors == (replace(CONNECTOR, remembered=True),)
    assert host.usb == (replace(KEYBOARD, bus=0, number=0, remembered=True),)
    assert host.inputs == (replace(NODE, remembered=True),)
    assert host.sockets == (SOCKET,)


def test_what_is_in_sight_needs_no_memory():
    assert recall(remember(Host(), WHOLE), WHOLE) is WHOLE


def test_what_is_seen_now_is_not_recalled_as_it_was():
    unplugged = replace(WHOLE, connectors=(), usb=(), inputs=())

    assert recall(remember(Host(), WHOLE), unplugged) == unplugged


@pytest.mark.parametrize("driver", [None, "vfio-pci", "pci-stub"])
def test_a_function_without_a_driver_of_its_own_hides_what_hangs_on_it(driver):
    hidden = replace(bound(GPU), pci=(replace(GPU, driver=driver), XHCI))

    assert recall(remember(Host(), WHOLE), hidden).connectors[0].remembered


def test_another_card_at_the_address_has_no_memories():
    other = replace(GPU, id=PciId(0x1002, 0x7480), driver="vfio-pci")

    assert recall(remember(Host(), WHOLE), Host((other,))).connectors == ()


def test_a_keyboard_in_a_guests_hands_is_still_a_keyboard():
    lent = replace(WHOLE, usb=(replace(KEYBOARD, drivers=("usbfs",), number=9),), inputs=())

    assert recall(remember(Host(), WHOLE), lent).inputs == (replace(NODE, remembered=True),)


def test_another_device_in_a_guests_hands_has_no_memories():
    other = replace(KEYBOARD, drivers=("usbfs",), id=UsbId(1, 2))

    assert recall(remember(Host(), WHOLE), replace(WHOLE, usb=(other,), inputs=())).inputs == ()


def test_remembering_what_is_away_keeps_it():
    seen = remember(Host(), WHOLE)

    assert remember(seen, bound(GPU)).connectors == seen.connectors
    assert remember(seen, recall(seen, bound(GPU))).connectors == seen.connectors


def test_a_card_that_is_unplugged_keeps_its_memories_until_another_takes_its_place():
    seen = remember(Host(), WHOLE)
    without = remember(seen, Host())
    other = replace(GPU, id=PciId(0x1002, 0x7480), driver="amdgpu")

    assert recall(without, bound(GPU, XHCI)) == recall(seen, bound(GPU, XHCI))
    assert remember(without, Host((other,))).connectors == ()


def test_only_what_can_leave_is_remembered():
    sound = PciDevice(PciAddress.parse("0000:01:00.1"), PciId(0x10DE, 0x22BC), 0x040300)
    board = InputDevice("event0", "Power Button")

    seen = remember(Host(), replace(WHOLE, pci=(GPU, sound, XHCI), inputs=(board, NODE)))

    assert [d.address for d in seen.pci] == [GPU.address, XHCI.address]
    assert seen.inputs == (NODE,)


def test_seen_is_read_back_from_its_text():
    seen = remember(Host(), WHOLE)

    assert parse_seen(render_seen(seen)) == seen


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"phyllome_seat_host": 99}'])
def test_a_text_that_cannot_be_read_is_nothing_seen(text):
    assert parse_seen(text) == Host()


STATES = st.lists(
    st.tuples(
        st.sampled_from(["nouveau", "vfio-pci", None]),
        st.sampled_from(["xhci", "vfio-pci", None]),
        st.booleans(),
    ),
    max_size=5,
)


@given(STATES)
def test_remembering_twice_is_remembering_once(states):
    seen = Host()
    for gpu, xhci, plugged in states:
        host = replace(WHOLE, pci=(replace(GPU, driver=gpu), replace(XHCI, driver=xhci)))
        host = replace(host, connectors=(CONNECTOR,) if gpu == "nouveau" and plugged else ())
        if xhci != "xhci" or not plugged:
            host = replace(host, usb=(), inputs=(), sockets=())
        once = remember(seen, host)
        assert remember(once, host) == once
        assert recall(once, host) == recall(once, recall(once, host))
        seen = once
