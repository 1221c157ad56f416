"""libvirt: its own test driver stands in for QEMU, and a silent socket for a daemon that hangs."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import time
import weakref
from functools import partial

import pytest

from phyllome_seat.model import guest_new
from phyllome_seat.model.address import PciAddress, UsbId, UsbPort
from phyllome_seat.model.devices import Guest, Host, Hostdev, UsbDevice
from phyllome_seat.model.domain_xml import NAMESPACE
from phyllome_seat.model.guest import parse_guest
from phyllome_seat.model.guest_edit import edit_guest, needs_edit, restore_guest
from phyllome_seat.model.guest_new import guest_uuid, render_new_guest
from phyllome_seat.model.guest_usb import has_usb, next_alias, render_usb, why_not
from phyllome_seat.model.plan import plan_revert
from phyllome_seat.model.seat import NewGuest
from phyllome_seat.model.step import CreateGuest, EditGuest, GuestPci, RemoveGuest, RestoreGuest
from phyllome_seat.system.apply import apply
from phyllome_seat.system.apply_guest import do_guest
from phyllome_seat.system.connection import GuestError, NoLibvirtError
from phyllome_seat.system.guests import Libvirt, read_guests
from phyllome_seat.system.limit import NoAnswerError, within
from phyllome_seat.system.state import State, read_state
from phyllome_seat.system.sysfs import Sysfs
from tests.model.domains import OWNERS_CARD, OWNERS_GUEST, with_device

URI = "test:///default"
KEYBOARD = UsbDevice(
    "3-1",
    UsbPort.parse("0000:03:00.0/usb2/1"),
    UsbId.parse("046d:c31c"),
    bus=3,
    number=10,
    product="Keyboard",
)
SEAT = tuple(
    GuestPci(PciAddress.parse(address), what, unit)
    for address, what, unit in (
        ("0000:01:00.0", "gpu", 0),
        ("0000:01:00.1", "sound", 0),
        ("0000:03:00.0", "usb", 1),
    )
)


def for_test_driver(xml: str) -> str:
    """Return a definition that the test driver takes: its domains are of a type of their own."""
    return xml.replace("type='kvm'", "type='test'").replace(
        '<domain type="kvm"', '<domain type="test"'
    )


@pytest.fixture
def libvirt():
    pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")
    with Libvirt(URI) as connection:
        yield connection
        # the test driver lives as long as anything in this process refers to it
        for found in connection.read_guests():
            connection.stop(found.name, 0.0, force=True)
            if found.name != "test":
                connection._by_uuid(found.uuid).undefine()


@pytest.fixture
def left(libvirt):
    """A guest of seat left, as we create it."""
    new = NewGuest("left", 2**30, 2, disk_path="/var/lib/libvirt/images/left.qcow2")
    xml = for_test_driver(render_new_guest("left", new, SEAT, guest_uuid("left", "0123")))
    return libvirt.define(xml)


def guest(libvirt: Libvirt, name: str) -> Guest:
    return next(g for g in libvirt.read_guests() if g.name == name)


def test_a_new_guest_is_read_back_as_ours(libvirt, left):
    found = guest(libvirt, "left")

    assert (found.uuid, found.seat, found.created) == (left, "left", True)
    assert (found.state, found.is_running) == ("shut off", False)
    assert [h.pci for h in found.hostdevs] == [item.address for item in SEAT]


@pytest.mark.parametrize("xml", [OWNERS_GUEST, with_device(OWNERS_GUEST, OWNERS_CARD)])
def test_what_libvirt_prints_back_needs_no_edit(libvirt, xml):
    uuid = libvirt.define(for_test_driver(xml))
    before = libvirt.read_xml(uuid)

    libvirt.define(edit_guest(before, "left", SEAT))

    assert not needs_edit(libvirt.read_xml(uuid), "left", SEAT)


@pytest.mark.parametrize("xml", [OWNERS_GUEST, with_device(OWNERS_GUEST, OWNERS_CARD)])
def test_a_domain_comes_back_as_it_was_with_its_passwords(libvirt, xml):
    uuid = libvirt.define(for_test_driver(xml))
    before = libvirt.read_xml(uuid)
    assert "passwd='secret'" in before
    libvirt.define(edit_guest(before, "left", SEAT))

    libvirt.define(restore_guest(libvirt.read_xml(uuid), before))

    assert libvirt.read_xml(uuid) == before
    assert "secret" not in libvirt.read_xml(uuid, secure=False)


def test_an_edit_by_its_owner_stays(libvirt):
    uuid = libvirt.define(for_test_driver(OWNERS_GUEST))
    before = libvirt.read_xml(uuid)
    libvirt.define(edit_guest(before, "left", SEAT))
    libvirt.define(libvirt.read_xml(uuid).replace(">4</vcpu>", ">3</vcpu>"))

    libvirt.define(restore_guest(libvirt.read_xml(uuid), before))

    assert libvirt.read_xml(uuid) == before.replace(">4</vcpu>", ">3</vcpu>")


def test_the_metadata_of_others_stays(libvirt, left):
    xml = libvirt.read_xml(left).replace(
        "</metadata>", "<o:other xmlns:o='http://example.org/o'><o:x/></o:other></metadata>"
    )
    libvirt.define(xml)
    libvirt.define(edit_guest(libvirt.read_xml(left), "right", SEAT))

    found = libvirt.read_xml(left)
    assert "http://example.org/o" in found
    assert found.count(NAMESPACE) == 1


def test_what_libvirt_does_not_take_is_named(libvirt):
    with pytest.raises(GuestError, match="guest left: defining: "):
        libvirt.define("<domain type='test'><name>left</name></domain>")


@pytest.fixture
def paused(libvirt, left):
    """The guest of seat left as a start leaves it that was killed before it was done; the test
    driver itself starts nothing paused.
    """
    domain = libvirt._by_uuid(left)
    domain.create()
    domain.suspend()
    assert guest(libvirt, "left").state == "paused"


def test_a_start_that_was_killed_is_completed(libvirt, paused):
    assert libvirt.start("left") is False

    assert guest(libvirt, "left").state == "running"


@pytest.mark.usefixtures("paused")
def test_a_running_guest_is_left_alone_and_stopped_once(libvirt):
    libvirt.start("left")
    assert libvirt.start("left") is True

    assert libvirt.stop("left", 5.0) is True
    assert guest(libvirt, "left").state == "shut off"
    assert libvirt.stop("left", 5.0) is True


def test_a_start_that_libvirt_refuses_says_why(libvirt, left):
    with pytest.raises(GuestError, match="guest left: starting: "):
        libvirt.start("left")  # the test driver starts nothing paused

    assert guest(libvirt, "left").uuid == left


@pytest.mark.usefixtures("paused")
def test_force_ends_a_guest_that_has_no_time_left(libvirt):
    libvirt.start("left")

    assert libvirt.stop("left", 0.0) is False
    assert libvirt.stop("left", 0.0, force=True) is True
    assert guest(libvirt, "left").state == "shut off"


def test_a_domain_of_no_seat_is_not_started(libvirt):
    libvirt.define(for_test_driver(OWNERS_GUEST))

    with pytest.raises(GuestError, match="belongs to no seat"):
        libvirt.start("win11")


def test_a_guest_that_is_not_there_is_named(libvirt):
    for ask in (libvirt.start, libvirt.stop):
        with pytest.raises(GuestError, match="guest nobody: "):
            ask("nobody")


@pytest.mark.usefixtures("paused")
def test_a_running_guest_is_not_undefined(libvirt, left):
    libvirt.start("left")

    with pytest.raises(GuestError, match="is running"):
        libvirt.undefine(left)


def test_undefining_twice_is_once(libvirt):
    xml = render_new_guest("b", NewGuest("b", 2**30, 1, firmware="bios"), (), guest_uuid("b", "1"))
    uuid = libvirt.define(for_test_driver(xml))

    libvirt.undefine(uuid)
    libvirt.undefine(uuid)

    assert "b" not in {g.name for g in libvirt.read_guests()}


def test_a_transient_domain_is_read_too(libvirt):
    xml = "<name>passing</name><memory>1024</memory><os><type>hvm</type></os>"
    libvirt._connection.createXML(f"<domain type='test'>{xml}</domain>", 0)

    assert guest(libvirt, "passing").state == "running"
    assert libvirt.stop("passing", 5.0)
    assert "passing" not in {g.name for g in libvirt.read_guests()}


def test_a_reader_needs_no_rights():
    pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")
    assert "test" in {g.name for g in read_guests(URI) or ()}


def test_no_daemon_is_an_error_that_says_what_to_do(tmp_path, capfd):
    pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")
    uri = f"qemu+unix:///system?socket={tmp_path}/none"

    with pytest.raises(NoLibvirtError, match="none") as refusal, Libvirt(uri):
        pass

    assert "libvirtd" in refusal.value.hint
    assert read_guests(uri) is None
    assert capfd.readouterr() == ("", "")  # libvirt prints its errors itself unless told not to


@pytest.fixture
def silent(tmp_path):
    """A socket that takes connections and never answers, like a daemon that was stopped."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "silent"))
        server.listen()
        yield f"qemu+unix:///system?socket={tmp_path}/silent"


def test_a_daemon_that_hangs_hangs_nobody(silent):
    pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")
    began = time.monotonic()

    with pytest.raises(NoAnswerError, match=r"did not answer within 0\.3 s"):
        Libvirt(silent, limit_s=0.3).__enter__()

    assert time.monotonic() - began < 5


def test_a_program_ends_while_a_daemon_hangs(silent):
    pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")
    code = (
        "from phyllome_seat.system.guests import Libvirt\n"
        f"try: Libvirt({silent!r}, limit_s=0.3).__enter__()\n"
        "except Exception as error: print(error)\n"
    )

    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert done.returncode == 0
    assert "did not answer" in done.stdout
    assert done.stderr == ""


@pytest.fixture
def no_garbage_collected():
    """As in a program that does nothing: it has its garbage until it does something again."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collected")
def test_a_call_that_raised_keeps_nothing_alive():
    class Domain:
        def attach(self):
            raise KeyError("x")

    domain = Domain()
    alive = weakref.ref(domain)
    with pytest.raises(KeyError):
        within(5, "it", "asking", partial(domain.attach))
    del domain
    assert alive() is None


@pytest.mark.usefixtures("no_garbage_collected")
def test_closed_it_is_closed_though_an_error_has_a_domain():
    pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")
    with Libvirt(URI) as libvirt:
        domain = libvirt._by_name("test")
        alive = weakref.ref(domain)
        garbage = {"domain": domain}
        garbage["itself"] = garbage
        del garbage, domain
        assert alive() is not None
    assert alive() is None


def test_a_call_within_its_limit_is_what_it_returns_or_raises():
    assert within(5, "it", "asking", lambda: 7) == 7
    with pytest.raises(KeyError):
        within(5, "it", "asking", lambda: {}["x"])


def test_a_call_over_its_limit_says_who_was_asked_what():
    never = threading.Event()

    with pytest.raises(NoAnswerError, match=r"^it did not answer within 0\.05 s: asking$"):
        within(0.05, "it", "asking", never.wait)

    never.set()


def test_a_usb_device_is_named_by_identity_and_number_in_decimal():
    xml = render_usb(KEYBOARD, "ua-phyllome-left-usb0-1")

    domain = f"<domain><devices>{xml}</devices></domain>"
    (hostdev,) = parse_guest(domain, state="running").hostdevs
    assert (hostdev.usb_id, hostdev.usb_bus, hostdev.usb_number) == (KEYBOARD.id, 3, 10)
    assert "device='10'" in xml


def test_a_device_without_a_vendor_is_named_by_number_alone():
    nameless = UsbDevice("3-1", None, UsbId(0, 1), 3, 4)

    assert "vendor" not in render_usb(nameless, "ua-x")


def test_an_alias_that_a_gone_device_still_has_is_not_used_again():
    alias = "ua-phyllome-left-usb2_0000_03_00_0_1-1"
    stale = Hostdev(usb_bus=3, usb_number=9, alias=alias, live=True)
    left = Guest("left", "u", hostdevs=(stale,))
    other = UsbPort.parse("0000:03:00.0/usb2/4.1")

    assert next_alias(left, "left", KEYBOARD.port, 1.0) == alias.removesuffix("1") + "2"
    assert next_alias(left, "left", other, 1.9) == "ua-phyllome-left-usb2_0000_03_00_0_4_1-1"
    assert not has_usb(left, KEYBOARD)
    assert why_not(KEYBOARD) is None


def test_steps_on_definitions_leave_nothing_behind(libvirt, tmp_path, monkeypatch):
    """Created, edited, removed; and a domain of somebody's edited and restored."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("0123\n")
    sysfs, state = Sysfs(str(tmp_path)), State(str(tmp_path))
    new = NewGuest("left", 2**30, 1, firmware="bios")
    monkeypatch.setattr(guest_new, "_PLAIN", for_test_driver(guest_new._PLAIN))
    uuid = guest_uuid("left", "0123")
    theirs = libvirt.define(for_test_driver(OWNERS_GUEST))
    before = libvirt.read_xml(theirs)

    do_guest(CreateGuest("left", new, SEAT), sysfs, state, libvirt)
    do_guest(EditGuest("left", "left", uuid, SEAT[:2]), sysfs, state, libvirt)
    do_guest(EditGuest("right", "win11", theirs, SEAT[2:]), sysfs, state, libvirt)
    assert set(read_state(sysfs)[3]) == {uuid, theirs}
    do_guest(RemoveGuest("left", uuid), sysfs, state, libvirt)
    do_guest(RestoreGuest("win11", theirs), sysfs, state, libvirt)

    assert read_state(sysfs)[3] == ()
    assert libvirt.read_xml(theirs) == before
    assert "left" not in {g.name for g in libvirt.read_guests()}


def test_a_definition_kept_for_a_domain_that_is_gone_is_removed(tmp_path):
    sysfs, state = Sysfs(str(tmp_path)), State(str(tmp_path))
    state.keep_guest("0123", OWNERS_GUEST)

    apply(plan_revert(Host(guests=(), kept_guests=read_state(sysfs)[3])), sysfs, state)

    assert read_state(sysfs)[3] == ()
