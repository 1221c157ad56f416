"""`attach` and `detach` from a tree of files to running guests, on a libvirt that is a model."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace

import pytest

from phyllome_seat.model.address import PciId, UsbId
from phyllome_seat.model.errors import ApplyError, UnknownDeviceError, UnknownSeatError
from phyllome_seat.model.lend import NOTHING_SAID, Lending
from phyllome_seat.model.seat import PortMatch, Seat, Wish
from phyllome_seat.system import guests_usb
from phyllome_seat.system.guests import Libvirt
from phyllome_seat.system.lending import lend, take_back
from phyllome_seat.system.limit import NoAnswerError
from phyllome_seat.system.settle_usb import settle_usb
from phyllome_seat.system.state import State
from phyllome_seat.system.sysfs import Sysfs
from tests.model.hosts import HOST_USB, address
from tests.system.device_trees import interface, pci, root_hub, usb
from tests.system.fake_libvirt import FakeDomain, LibvirtError, fake_libvirt
from tests.system.trees import block, make_tree, mountinfo
from tests.usb_machine import KEYBOARD, STICK, Machine, RefusedError

XHCI = f"pci0000:00/{HOST_USB}"
BUS = f"{XHCI}/usb1"
PAD = UsbId(0x045E, 0x028E)
WISH = Wish(
    tuple(
        Seat(
            name,
            usb=(PortMatch(address(HOST_USB), PciId.parse("8086:7ae0"), usb2=(number,)),),
            domain=name,
        )
        for name, number in (("left", 7), ("right", 8))
    )
)


class Desk:
    """A PC whose sockets are a tree of files, its guests, and our state in the same tree."""

    def __init__(self, root, machine, stick="8/6/80"):
        self.root, self.machine, self.stick = root, machine, stick
        self.state = State(str(root))
        self.on = {"sysfs": Sysfs(str(root)), "state": self.state}

    def lay_out(self):
        """Write what is plugged in now."""
        for folder in ("sys", "proc"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
        files = pci(XHCI, identity="8086:7AE0", class_code="C0330", driver="xhci_hcd")
        files |= root_hub(XHCI, 1)
        mounts = []
        for chain, plug in self.machine.plugs.items():
            path = f"{BUS}/1-{chain}"
            product = f"{plug.id.vendor:x}/{plug.id.product:x}/100"
            serial = {"serial": plug.serial} if plug.serial else {}
            files |= usb(path, product=product, number=plug.number, **serial)
            files |= interface(f"{path}/1-{chain}:1.0", self.stick if plug.id == STICK else "3/0/0")
            if plug.id == STICK:
                files |= block(f"{path}/1-{chain}:1.0/host0/block/sdb", "8:16")
            if plug.is_mounted:
                mounts.append("8:16 /media/stick ext4 /dev/sdb")
        make_tree(self.root, files | mountinfo(*mounts))

    def attach(self, what, seat, until=None, for_s=None):
        self.lay_out()
        with Libvirt("fake:///") as libvirt:
            return lend(WISH, what, seat, until=until, for_s=for_s, libvirt=libvirt, **self.on)

    def detach(self, what):
        self.lay_out()
        with Libvirt("fake:///") as libvirt:
            return take_back(WISH, what, libvirt=libvirt, **self.on)

    def settle(self):
        self.lay_out()
        with Libvirt("fake:///") as libvirt:
            return settle_usb(WISH, libvirt=libvirt, **self.on)


@pytest.fixture
def machine(monkeypatch):
    machine = Machine("left", "right")
    monkeypatch.setitem(sys.modules, "libvirt", fake_libvirt(machine))
    monkeypatch.setattr(guests_usb, "_RETRIES_S", (0.0,))
    machine.start("left")
    machine.start("right")
    machine.plug("7", KEYBOARD)
    machine.plug("9", PAD, serial="P1")
    return machine


@pytest.fixture
def desk(tmp_path, machine):
    return Desk(tmp_path, machine)


def test_what_neither_goes_nor_comes_is_not_said_to_be_there(desk, machine, monkeypatch):
    desk.attach("usb2/9", "left", "stop")
    machine.unplug("9")
    machine.plug("9", PAD, serial="P1")  # another number: what the guest has is stale

    def busy(*_):
        raise LibvirtError(68, "Timed out during operation: cannot acquire state change lock")

    monkeypatch.setattr(FakeDomain, "attachDeviceFlags", busy)
    monkeypatch.setattr(FakeDomain, "detachDeviceAlias", busy)
    monkeypatch.setattr(guests_usb, "_DETACH_S", 0.1)

    with pytest.raises(ApplyError, match="cannot acquire state change lock"):
        desk.attach("usb2/9", "left", "stop")


def test_a_device_in_nobodys_socket_is_lent_moved_and_taken_back(desk, machine):
    said = desk.attach("usb2/9", "left", "unplug")

    assert said.endswith("is in guest left of seat left until it is unplugged")
    assert machine.has("left") == {"7", "9"}
    assert desk.attach("045e:028e", "right").endswith("seat right until the guest stops")
    assert (machine.has("left"), machine.has("right")) == ({"7"}, {"9"})
    assert desk.detach("045e:028e/P1").endswith("is the host's")
    assert machine.has("right") == set()
    assert desk.state.read_lending() == NOTHING_SAID


def test_a_lend_for_a_time_ends_at_the_next_look_after_it(desk, machine):
    desk.attach("1-9", "left", "time", 60.0)
    (lent,) = desk.state.read_lending().lends
    assert lent.ends_at_s - lent.since_s == 60.0
    desk.state.write_lending(Lending((replace(lent, ends_at_s=lent.since_s),)))

    desk.settle()

    assert machine.has("left") == {"7"}
    assert desk.state.read_lending() == NOTHING_SAID


def test_a_lend_of_a_seats_own_device_ends_with_the_device_going_home(desk, machine):
    desk.attach("usb2/7", "right")
    assert (machine.has("left"), machine.has("right")) == (set(), {"7"})

    assert desk.detach("usb2/7").endswith("is in guest left")
    assert (machine.has("left"), machine.has("right")) == ({"7"}, set())


def test_a_seats_own_device_taken_back_stays_until_it_is_plugged_in_again(desk, machine):
    desk.settle()
    assert "until it is plugged in again" in desk.detach("usb2/7")
    desk.settle()
    assert machine.has("left") == set()

    machine.unplug("7")
    desk.settle()
    state = desk.state.read_lending()
    assert state.released[0].gone_s is not None
    machine.plug("7", PAD)
    desk.settle()

    assert machine.has("left") == {"7"}


def test_a_seats_own_device_taken_back_is_given_again_without_an_end(desk, machine):
    desk.settle()
    desk.detach("usb2/7")

    assert desk.attach("usb2/7", "left").endswith("as its own")
    assert machine.has("left") == {"7"}
    assert desk.state.read_lending() == NOTHING_SAID


def test_a_device_that_gets_a_new_number_when_it_is_let_go_stays_taken_back(desk, machine):
    machine.plugs["7"].renumbers = True
    desk.settle()

    desk.detach("usb2/7")
    desk.settle()

    assert machine.has("left") == set()


def test_a_mounted_stick_is_not_lent_and_nothing_is_kept_of_it(desk, machine):
    machine.plug("6", STICK, is_mounted=True)

    with pytest.raises(ApplyError, match="holds /media/stick"):
        desk.attach("usb2/6", "left")

    assert machine.wrongs == []
    assert desk.state.read_lending() == NOTHING_SAID


def test_what_libvirt_refuses_is_not_lent(desk, machine, monkeypatch):
    def refuse(*_):
        raise LibvirtError(1, "Operation not permitted")

    monkeypatch.setattr(FakeDomain, "attachDeviceFlags", refuse)

    with pytest.raises(ApplyError, match="Operation not permitted"):
        desk.attach("usb2/9", "left")
    assert desk.state.read_lending() == NOTHING_SAID


def test_a_guest_that_is_off_or_not_set_up_is_lent_nothing(desk, machine):
    machine.stop("left")
    with pytest.raises(ApplyError, match="is off") as caught:
        desk.attach("usb2/9", "left")
    assert "phyllome-seat start left" in caught.value.hint

    machine.domains["right"].has_mark = False
    with pytest.raises(ApplyError, match="has no guest that is set up"):
        desk.attach("usb2/9", "right")


def test_a_name_of_several_devices_lists_them_all(desk, machine):
    machine.plug("10", PAD, serial="P2")

    with pytest.raises(UnknownDeviceError) as caught:
        desk.attach("045e:028e", "left")

    assert f"{HOST_USB}/usb2/9" in str(caught.value)
    assert f"{HOST_USB}/usb2/10" in str(caught.value)


@pytest.mark.parametrize(("what", "near"), [("045e:028f", "045e:028e"), ("usb2/90", "usb2/9")])
def test_a_name_of_nothing_is_refused_with_the_nearest(desk, what, near):
    with pytest.raises(UnknownDeviceError, match="no USB device that is plugged in") as caught:
        desk.attach(what, "left")

    assert near in caught.value.hint


def test_a_seat_that_is_not_in_the_file_is_refused(desk):
    with pytest.raises(UnknownSeatError):
        desk.attach("usb2/9", "middle")


def test_what_somebody_else_put_into_a_guest_is_theirs_to_take_out(desk, machine):
    machine.attach("left", "ua-theirs", machine.plugs["9"].number, PAD)

    with pytest.raises(ApplyError, match="by somebody else"):
        desk.detach("usb2/9")

    assert "9" in machine.has("left")


def test_what_another_guest_refuses_is_no_matter_of_this_device(desk, machine):
    desk.attach("usb2/9", "left")
    machine.plug("8", KEYBOARD)
    attach = machine.attach

    def refuse(name, *rest):
        if name == "right":
            raise RefusedError(1, "right has no room")
        attach(name, *rest)

    machine.attach = refuse
    assert desk.detach("usb2/9").endswith("is the host's")
    assert "seat left" in desk.attach("usb2/9", "left")


def test_nothing_is_lent_where_libvirt_does_not_answer(desk, monkeypatch):
    def hang(*_):
        raise NoAnswerError("libvirt", "attaching", 30.0)

    desk.settle()
    monkeypatch.setattr(Libvirt, "do_usb", hang)
    with pytest.raises(NoAnswerError):
        desk.attach("usb2/9", "left")
    assert desk.state.read_lending() == NOTHING_SAID
