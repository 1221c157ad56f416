"""Guests' definitions edited and given back, by a real libvirt without a machine: ``test:///``."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.errors import ReadBackError
from phyllome_seat.model.seat import NewGuest
from phyllome_seat.model.step import (
    CreateGuest,
    EditGuest,
    GuestPci,
    RemoveGuest,
    ResizeGuest,
    RestoreGuest,
)
from phyllome_seat.system.apply import apply
from phyllome_seat.system.state import State, read_state
from phyllome_seat.system.sysfs import Sysfs

pytest.importorskip("libvirt", reason="libvirt's Python binding is not installed")

from phyllome_seat.system.guests import Libvirt

UUID = "5f0bb4a4-0a47-4d5e-8d8e-0123456789ab"
XML = f"""<domain type='test'>
  <name>win11</name>
  <uuid>{UUID}</uuid>
  <memory unit='KiB'>8388608</memory>
  <vcpu>4</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <graphics type='vnc' port='-1' passwd='hunter2'/>
  </devices>
</domain>"""
GPU = PciAddress.parse("0000:01:00.0")
SOUND = PciAddress.parse("0000:01:00.1")
PCI = (GuestPci(GPU, "gpu", 0), GuestPci(SOUND, "sound", 0))
EDIT = EditGuest("left", "win11", UUID, PCI)


@pytest.fixture
def libvirt():
    with Libvirt("test:///default") as libvirt:
        libvirt.define(XML)
        yield libvirt
        for guest in libvirt.read_guests():
            if not guest.is_running:
                libvirt.undefine(guest.uuid)


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    return Sysfs(str(tmp_path)), State(str(tmp_path))


def guest_of(libvirt, name="win11"):
    return next((guest for guest in libvirt.read_guests() if guest.name == name), None)


def devices_of(libvirt, name="win11"):
    return [hostdev.pci for hostdev in guest_of(libvirt, name).hostdevs]


def test_a_guest_gets_its_devices_and_is_given_back_as_it_was(machine, libvirt):
    sysfs, state = machine
    before = libvirt.read_xml(UUID)

    for _ in range(2):
        apply((EDIT,), sysfs, state, libvirt)

        assert devices_of(libvirt) == [GPU, SOUND]
        assert state.read_guest(UUID) == before
        assert "hunter2" in libvirt.read_xml(UUID)

    for _ in range(2):
        apply((RestoreGuest("win11", UUID),), sysfs, state, libvirt)

        assert libvirt.read_xml(UUID) == before
        assert read_state(sysfs)[3] == ()


def test_what_its_owner_changed_since_stays(machine, libvirt):
    sysfs, state = machine
    apply((EDIT,), sysfs, state, libvirt)
    edited = libvirt.read_xml(UUID).replace("8388608", "4194304")
    libvirt.define(edited)

    apply((RestoreGuest("win11", UUID),), sysfs, state, libvirt)

    assert devices_of(libvirt) == []
    assert ">4194304</memory>" in libvirt.read_xml(UUID)


def test_a_definition_kept_by_a_run_that_was_killed_then_is_the_one_that_comes_back(
    machine, libvirt
):
    sysfs, state = machine
    before = libvirt.read_xml(UUID)
    state.keep_guest(UUID, before)  # and killed before the edit

    apply((EDIT,), sysfs, state, libvirt)
    apply((RestoreGuest("win11", UUID),), sysfs, state, libvirt)

    assert libvirt.read_xml(UUID) == before


def test_a_guest_is_made_from_the_seat_file_once_and_removed(machine, libvirt):
    sysfs, state = machine
    new = NewGuest("right", memory_bytes=1 << 30, cpus=2, firmware="bios")
    step = CreateGuest("right", new, (replace(PCI[0]),))

    for _ in range(2):
        apply((step,), sysfs, state, libvirt)

        guest = guest_of(libvirt, "right")
        assert (guest.seat, guest.created) == ("right", True)
        assert devices_of(libvirt, "right") == [GPU]
        assert ElementTree.fromstring(libvirt.read_xml(guest.uuid)).findtext("vcpu") == "2"

    assert read_state(sysfs)[3] == (guest.uuid,)  # known also while libvirt does not answer
    for _ in range(2):
        apply((RemoveGuest("right", guest.uuid),), sysfs, state, libvirt)
        assert guest_of(libvirt, "right") is None
        assert read_state(sysfs)[3] == ()


@pytest.mark.parametrize("runs", [False, True])
def test_a_guest_we_made_gets_its_new_size_in_its_definition_alone(machine, libvirt, runs):
    sysfs, state = machine
    new = NewGuest("right", memory_bytes=1 << 30, cpus=2, firmware="bios")
    apply((CreateGuest("right", new, PCI[:1]),), sysfs, state, libvirt)
    uuid = guest_of(libvirt, "right").uuid
    theirs = libvirt.read_xml(uuid).replace("<on_crash>destroy", "<on_crash>restart")
    libvirt.define(theirs)
    if runs:
        libvirt._by_uuid(uuid).create()
    larger = replace(new, memory_bytes=3 << 30, cpus=6)

    for _ in range(2):
        apply((ResizeGuest(larger, uuid, 1 << 30, 2, runs),), sysfs, state, libvirt)

        assert libvirt.read_xml(uuid) == (
            theirs.replace("1048576</", "3145728</").replace(">2</vcpu>", ">6</vcpu>")
        ).replace("cores='2'", "cores='6'")
        assert devices_of(libvirt, "right")[:1] == [GPU]
    if runs:
        live = libvirt._by_uuid(uuid).XMLDesc(0)
        assert ElementTree.fromstring(live).findtext("memory") == "1048576"
        libvirt.stop("right", 0.0, force=True)
    assert (guest_of(libvirt, "right").created, guest_of(libvirt, "right").seat) == (True, "right")


def test_a_size_that_libvirt_does_not_keep_is_an_error(machine, libvirt, monkeypatch):
    sysfs, state = machine
    step = ResizeGuest(NewGuest("win11", 4 << 30, 4), UUID, 8 << 30, 4)
    monkeypatch.setattr(libvirt, "define", lambda xml: UUID)  # QEMU's, with NUMA cells: their sum

    with pytest.raises(ReadBackError, match="4 CPUs and 8192 MiB, not with 4 CPUs and 4096 MiB"):
        apply((step,), sysfs, state, libvirt)


def test_a_guest_we_made_whose_mark_its_owner_removed_is_its_owners(machine, libvirt):
    sysfs, state = machine
    new = NewGuest("right", memory_bytes=1 << 30, cpus=2, firmware="bios")
    apply((CreateGuest("right", new, PCI[:1]),), sysfs, state, libvirt)
    uuid = guest_of(libvirt, "right").uuid
    domain = ElementTree.fromstring(libvirt.read_xml(uuid))
    domain.remove(domain.find("metadata"))
    libvirt.define(ElementTree.tostring(domain, encoding="unicode"))

    apply((RestoreGuest("right", uuid),), sysfs, state, libvirt)

    assert devices_of(libvirt, "right") == []
    assert read_state(sysfs)[3] == ()
