"""USB into and out of running guests: done is what the running XML says, not libvirt's answer."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import pytest

from phyllome_seat.model.guest_usb import UsbAlias
from phyllome_seat.model.step import AttachUsb, DetachUsb, RenumberSaved
from phyllome_seat.system import guests_usb
from phyllome_seat.system.connection import GuestError
from phyllome_seat.system.guests import Libvirt
from tests.system.fake_libvirt import FakeDomain, fake_libvirt
from tests.usb_machine import HUB, KEYBOARD, Machine, RefusedError


@pytest.fixture
def machine(monkeypatch):
    machine = Machine("left", "right", ports=2)
    monkeypatch.setitem(sys.modules, "libvirt", fake_libvirt(machine))
    monkeypatch.setattr(guests_usb, "_RETRIES_S", (0.0, 0.01))
    monkeypatch.setattr(guests_usb, "_DETACH_S", 0.2)
    machine.start("left")
    machine.plug("7", KEYBOARD)
    return machine


@pytest.fixture
def libvirt(machine):
    with Libvirt("fake:///") as connection:
        yield connection


def attach(machine, chain="7", guest="left", **changes):
    device = replace(machine.device(chain), **changes)
    alias = str(UsbAlias(guest, device.port, 1000))
    return AttachUsb(guest, machine.domains[guest].uuid, guest, device, alias, "because")


def detach(machine, alias, guest="left"):
    return DetachUsb(guest, machine.domains[guest].uuid, guest, alias, 1, 11, "because")


def test_attached_and_detached_each_twice_is_once(machine, libvirt):
    step = attach(machine)

    assert libvirt.do_usb(step) is None
    assert libvirt.do_usb(step) is None
    assert machine.has("left") == {"7"}

    assert libvirt.do_usb(detach(machine, step.alias)) is None
    assert libvirt.do_usb(detach(machine, step.alias)) is None
    assert machine.domains["left"].entries == []


def test_an_alias_that_a_stale_entry_has_is_not_used_again(machine, libvirt):
    first = attach(machine)
    libvirt.do_usb(first)
    machine.unplug("7")
    machine.plug("7", KEYBOARD)

    assert libvirt.do_usb(attach(machine)) is None

    aliases = [entry.alias for entry in machine.domains["left"].entries]
    assert aliases[0] == first.alias != aliases[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"number": 99}, "Did not find USB device"),
        ({"remembered": True}, "is not plugged in now"),
        ({"device_class": 9}, "is a hub"),
    ],
)
def test_what_cannot_be_attached_is_said_in_libvirts_or_our_words(machine, libvirt, changes, words):
    assert words in libvirt.do_usb(attach(machine, **changes))
    assert machine.domains["left"].entries == []


def test_a_full_guest_and_a_device_in_another_are_said(machine, libvirt):
    machine.start("right")
    for chain in ("8", "9"):
        machine.plug(chain, KEYBOARD)
        assert libvirt.do_usb(attach(machine, chain)) is None

    assert "No free USB ports" in libvirt.do_usb(attach(machine, "7"))
    assert "is in use by" in libvirt.do_usb(attach(machine, "8", "right"))


def test_a_guest_that_went_off_has_nothing_to_detach_and_takes_nothing(machine, libvirt):
    step = attach(machine)
    machine.stop("left")

    assert libvirt.do_usb(step) == "its guest is off"
    assert libvirt.do_usb(detach(machine, step.alias)) is None


def test_a_domain_that_is_no_more_is_said(machine, libvirt):
    gone = replace(attach(machine), uuid="none")

    assert "Domain not found" in libvirt.do_usb(gone)


def test_an_attach_that_fails_once_for_another_device_is_tried_again(machine, libvirt, monkeypatch):
    real, calls = FakeDomain.attachDeviceFlags, []

    def once(self, xml, flags):
        calls.append(xml)
        number = machine.plugs["7"].number
        machine.plugs["7"].number = 0 if len(calls) == 1 else number or 11
        real(self, xml, flags)

    monkeypatch.setattr(FakeDomain, "attachDeviceFlags", once)

    assert libvirt.do_usb(attach(machine)) is None
    assert len(calls) == 2


@pytest.mark.parametrize(("is_there", "tries"), ((True, 3), (False, 1)))
def test_what_was_unplugged_meanwhile_is_not_tried_again(machine, libvirt, is_there, tries):
    step, attach_it, calls = attach(machine), machine.attach, []
    if not is_there:
        machine.unplug("7")

    def refuse(*arguments):
        calls.append(arguments)
        if is_there:
            raise RefusedError(1, "internal error: the guest said no")
        attach_it(*arguments)

    machine.attach = refuse
    why = libvirt.do_usb(step, is_there=lambda device: device.sysname == "1-7" and is_there)

    assert len(calls) == tries
    assert ("unplugged meanwhile" in why) is not is_there


def test_a_detach_that_libvirt_says_yes_to_and_does_not_do_is_said(machine, libvirt, monkeypatch):
    step = attach(machine)
    libvirt.do_usb(step)
    monkeypatch.setattr(FakeDomain, "detachDeviceAlias", lambda *_: None)

    assert "has it still" in libvirt.do_usb(detach(machine, step.alias))


def test_a_guest_is_started_with_its_devices_before_it_runs(machine, libvirt):
    machine.stop("left")
    states = []

    def meanwhile():
        states.append(machine.domains["left"].state)
        assert libvirt.do_usb(attach(machine)) is None

    assert libvirt.start("left", meanwhile) is False
    assert states == ["paused"]
    assert (machine.domains["left"].state, machine.has("left")) == ("running", {"7"})
    assert libvirt.start("left", lambda: states.append("again")) is True
    assert states == ["paused"]


def test_no_hub_is_ever_asked_for(machine, libvirt):
    machine.plug("8", HUB)

    assert "is a hub" in libvirt.do_usb(attach(machine, "8"))
    assert machine.wrongs == []


def test_a_device_that_is_taken_at_once_is_not_waited_for(libvirt, machine, monkeypatch):
    monkeypatch.setattr(guests_usb, "_RETRIES_S", (30.0,))
    began = time.monotonic()
    assert libvirt.do_usb(attach(machine)) is None
    assert time.monotonic() - began < 10


def test_a_saved_guest_is_started_by_the_numbers_of_now(machine, libvirt):
    libvirt.do_usb(attach(machine))
    machine.save("left")
    machine.unplug("7")
    machine.plug("7", KEYBOARD)

    with pytest.raises(GuestError, match="Did not find USB device"):
        start_as_plain_libvirt_does(libvirt)
    assert libvirt.do_usb(renumber(machine)) is None
    start_as_plain_libvirt_does(libvirt)

    assert machine.domains["left"].state == "paused"
    assert libvirt.do_usb(renumber(machine)) is None  # its state is gone: nothing to do


def start_as_plain_libvirt_does(libvirt):
    domain = libvirt._by_name("left")
    libvirt._asked("left", "starting", lambda: domain.createWithFlags(0))


def renumber(machine):
    uuid = machine.domains["left"].uuid
    return RenumberSaved("left", uuid, "left", (machine.device("7"),))


def test_what_a_guest_was_saved_with_is_known_until_it_runs(machine, libvirt):
    libvirt.do_usb(attach(machine))
    number = machine.plugs["7"].number
    machine.save("left")
    uuid = machine.domains["left"].uuid

    (had,) = libvirt.read_guest(uuid).saved
    assert (had.usb_number, had.usb_id) == (number, KEYBOARD)
    machine.start("left")
    assert libvirt.read_guest(uuid).saved == ()


def test_a_saved_state_that_cannot_be_read_hides_no_guest(machine, libvirt):
    machine.stop("left")
    machine.domains["left"].saved = "<domain"

    assert libvirt.read_guest(machine.domains["left"].uuid).saved == ()
