"""Domain XML both ways: read, ours put in, ours taken out."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, UsbId
from phyllome_seat.model.devices import Hostdev
from phyllome_seat.model.domain_xml import (
    NAMESPACE,
    DomainXmlError,
    parse_domain,
    render_domain,
    same,
)
from phyllome_seat.model.guest import is_ours, parse_guest
from phyllome_seat.model.guest_edit import edit_guest, needs_edit, pci_aliases, restore_guest
from phyllome_seat.model.guest_new import disk_format, guest_uuid, render_new_guest
from phyllome_seat.model.seat import NewGuest
from phyllome_seat.model.step import GuestPci
from tests.model.domains import I440FX_GUEST, OWNERS_CARD, OWNERS_GUEST, with_device

GPU, SOUND, USB = (PciAddress.parse(a) for a in ("0000:01:00.0", "0000:01:00.1", "0000:03:00.0"))
CARD = (GuestPci(GPU, "gpu", 0), GuestPci(SOUND, "sound", 0))
SEAT = (*CARD, GuestPci(USB, "usb", 1))


def devices(xml: str) -> dict[str, ElementTree.Element]:
    """Return the PCI host devices by the host's address, read with another parser than ours."""
    found = {}
    for device in ElementTree.fromstring(xml).findall("devices/hostdev[@type='pci']"):
        source = device.find("source/address")
        parts = [int(source.get(k), 0) for k in ("domain", "bus", "slot", "function")]
        found[str(PciAddress(*parts))] = device
    return found


def guest_place(device: ElementTree.Element) -> tuple[int, ...] | None:
    address = device.find("address")
    return (
        address
        if address is None
        else tuple(int(address.get(k), 0) for k in ("bus", "slot", "function"))
    )


def without(xml: str, *paths: str) -> ElementTree.Element:
    """Return the parsed text without some elements."""
    root = ElementTree.fromstring(xml)
    for path in paths:
        for parent in root.iter():
            for gone in [c for c in parent if c in root.findall(path)]:
                parent.remove(gone)
    return root


def canonical(xml: str) -> str:
    return ElementTree.canonicalize(xml, strip_text=True)


def test_a_guest_is_read_with_the_devices_it_has():
    live = with_device(
        OWNERS_GUEST,
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc52b'/>"
        "<address bus='3' device='7'/></source><alias name='ua-phyllome-left-usb0-1'/></hostdev>",
    )

    guest = parse_guest(with_device(OWNERS_GUEST, OWNERS_CARD), state="running", live_xml=live)

    assert (guest.name, guest.state, guest.seat, guest.created) == ("win11", "running", None, False)
    assert guest.is_running
    card, receiver = guest.hostdevs
    assert card == Hostdev(pci=GPU, alias="ua-my-card", managed=True, live=False)
    assert (receiver.usb_bus, receiver.usb_number, receiver.live) == (3, 7, True)
    assert receiver.usb_id == UsbId(0x046D, 0xC52B)
    assert is_ours(receiver)
    assert not is_ours(card)


def test_devices_held_by_an_interface_or_a_disk_are_seen_too():
    held = """<interface type='hostdev'><source>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x10' function='0x1'/>
      </source></interface>
      <disk type='nvme' device='disk'><source type='pci' managed='yes' namespace='1'>
      <address domain='0x0000' bus='0x06' slot='0x00' function='0x0'/></source></disk>"""

    guest = parse_guest(with_device(OWNERS_GUEST, held), state="shut off")

    assert [str(h.pci) for h in guest.hostdevs] == ["0000:05:10.1", "0000:06:00.0"]


def test_an_edited_guest_says_whose_it_is():
    guest = parse_guest(edit_guest(OWNERS_GUEST, "left", SEAT), state="shut off")

    assert (guest.seat, guest.created) == ("left", False)
    assert [h.pci for h in guest.hostdevs] == [GPU, SOUND, USB]
    assert all(is_ours(h) and not h.managed for h in guest.hostdevs)


def test_an_edit_changes_nothing_but_what_is_ours():
    edited = edit_guest(OWNERS_GUEST, "left", (SEAT[2],))

    assert "xmlns:qemu" in edited
    assert "<!-- kept by libvirt -->" in edited
    left = without(edited, "devices/hostdev", f"metadata/{{{NAMESPACE}}}seat")
    assert canonical(ElementTree.tostring(left, encoding="unicode")) == canonical(
        ElementTree.tostring(without(OWNERS_GUEST), encoding="unicode")
    )


def test_a_card_and_its_sound_are_one_device_in_the_guest(golden):
    edited = edit_guest(OWNERS_GUEST, "left", SEAT)

    found = devices(edited)
    assert guest_place(found[str(GPU)]) == (3, 0, 0)  # a new root port: 1 and 2 are taken
    assert guest_place(found[str(SOUND)]) == (3, 0, 1)
    assert found[str(GPU)].find("address").get("multifunction") == "on"
    assert guest_place(found[str(USB)]) is None  # libvirt's choice
    golden("edited-guest.xml", edited)


def test_a_free_root_port_is_used_before_one_is_added():
    spare = """    <controller type='pci' index='3' model='pcie-root-port'/>
    <controller type='pci' index='4' model='pcie-root-port'/>
"""

    edited = edit_guest(with_device(OWNERS_GUEST, spare), "left", CARD)

    assert guest_place(devices(edited)[str(GPU)]) == (3, 0, 0)
    assert edited.count('model="pcie-root-port"') == 4


def test_an_old_machine_gets_the_card_on_its_only_bus():
    edited = edit_guest(I440FX_GUEST, "left", CARD)

    assert guest_place(devices(edited)[str(GPU)]) == (0, 4, 0)
    assert guest_place(devices(edited)[str(SOUND)]) == (0, 4, 1)
    assert "root-port" not in edited


@pytest.mark.parametrize(
    "xml", [OWNERS_GUEST, I440FX_GUEST, with_device(OWNERS_GUEST, OWNERS_CARD)]
)
def test_editing_twice_is_editing_once(xml):
    once = edit_guest(xml, "left", SEAT)

    assert needs_edit(xml, "left", SEAT)
    assert edit_guest(once, "left", SEAT) == once
    assert not needs_edit(once, "left", SEAT)


def test_what_libvirt_fills_in_needs_no_edit():
    filled = parse_domain(edit_guest(OWNERS_GUEST, "left", SEAT))
    usb = next(d for d in filled.iter("hostdev") if d.find("address") is None)
    ElementTree.SubElement(
        usb,
        "address",
        {"type": "pci", "domain": "0x0000", "bus": "0x04", "slot": "0x00"} | {"function": "0x0"},
    )
    filled.find("devices").insert(0, ElementTree.Element("input", {"type": "mouse", "bus": "ps2"}))

    assert not needs_edit(render_domain(filled), "left", SEAT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name="ua-phyllome-left-gpu-1"', 'name="ua-other"'),
        ('bus="0x01" slot="0x00" function="0x1"', 'bus="0x09" slot="0x00" function="0x1"'),
        ('managed="no"', 'managed="yes"'),
        ('multifunction="on"', 'multifunction="off"'),
        ('name="left"', 'name="right"'),
    ],
)
def test_what_was_changed_by_hand_is_put_right(old, new):
    edited = edit_guest(OWNERS_GUEST, "left", SEAT)
    assert old in edited

    broken = edited.replace(old, new, 1)

    assert needs_edit(broken, "left", SEAT)
    again = edit_guest(broken, "left", SEAT)
    assert not needs_edit(again, "left", SEAT)
    assert set(devices(again)) >= {str(item.address) for item in SEAT}


def test_a_device_that_the_seat_gave_up_is_taken_out():
    edited = edit_guest(edit_guest(OWNERS_GUEST, "left", SEAT), "left", (SEAT[1],))

    assert set(devices(edited)) == {str(SOUND)}
    assert guest_place(devices(edited)[str(SOUND)]) is None  # function 1 alone would not start


def test_a_device_the_owner_had_is_adopted_where_it_sits():
    xml = with_device(OWNERS_GUEST, OWNERS_CARD)

    edited = edit_guest(xml, "left", SEAT)

    card = devices(edited)[str(GPU)]
    assert len(devices(edited)) == 3
    assert (card.get("managed"), card.find("rom").get("bar")) == ("no", "off")
    assert card.find("alias").get("name") == "ua-phyllome-left-gpu-1"
    assert guest_place(card) == (3, 0, 0)
    assert guest_place(devices(edited)[str(SOUND)]) is None


def test_an_adopted_device_is_given_back_as_it_was():
    xml = with_device(OWNERS_GUEST, OWNERS_CARD)

    dropped = edit_guest(edit_guest(xml, "left", SEAT), "left", SEAT[2:])

    card = devices(dropped)[str(GPU)]
    assert card.get("managed") == "yes"
    assert card.find("alias").get("name") == "ua-my-card"
    assert restore_guest(edit_guest(xml, "left", SEAT), xml) == xml


def test_an_adopted_device_taken_out_by_its_owner_is_forgotten():
    edited = edit_guest(with_device(OWNERS_GUEST, OWNERS_CARD), "left", CARD)
    tree = parse_domain(edited)
    tree.find("devices").remove(tree.find("devices/hostdev"))

    again = edit_guest(render_domain(tree), "left", CARD)

    assert "adopted" not in again
    assert not needs_edit(again, "left", CARD)
    assert set(devices(again)) == {str(GPU), str(SOUND)}


@pytest.mark.parametrize(
    "xml", [OWNERS_GUEST, I440FX_GUEST, with_device(OWNERS_GUEST, OWNERS_CARD)]
)
def test_restoring_gives_the_same_text_back(xml):
    assert restore_guest(edit_guest(xml, "left", SEAT), xml) == xml
    assert restore_guest(xml, xml) == xml


def test_root_ports_that_came_with_our_devices_go_with_them():
    edited = edit_guest(OWNERS_GUEST, "left", SEAT)
    libvirts = """    <controller type='pci' index='4' model='pcie-root-port'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x1'/>
    </controller>
"""
    filled = with_device(edited, libvirts).replace(
        'slot="0x02" function="0x0" />', 'slot="0x02" function="0x0" multifunction="on" />'
    )
    assert filled != edited

    assert restore_guest(filled, OWNERS_GUEST) == OWNERS_GUEST


def test_a_bridge_that_came_with_our_devices_goes_with_them():
    edited = edit_guest(OWNERS_GUEST, "left", SEAT)
    bridge = """    <controller type='pci' index='4' model='pcie-to-pci-bridge'>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </controller>
    <controller type='pci' index='5' model='pcie-root-port'/>
"""

    assert restore_guest(with_device(edited, bridge), OWNERS_GUEST) == OWNERS_GUEST


@given(
    st.lists(
        st.tuples(
            st.sets(st.sampled_from(SEAT)).map(lambda s: tuple(p for p in SEAT if p in s)),
            st.booleans(),
        )
    )
)
def test_however_often_it_was_edited_it_comes_back(edits):
    for xml in (OWNERS_GUEST, I440FX_GUEST, with_device(OWNERS_GUEST, OWNERS_CARD)):
        edited = xml
        for pci, takes_usb in edits:
            edited = edit_guest(edited, "left", pci, takes_usb=takes_usb)
            assert not needs_edit(edited, "left", pci, takes_usb=takes_usb)
        assert restore_guest(edited, xml) == xml


def test_what_the_owner_changed_since_stays():
    edited = edit_guest(OWNERS_GUEST, "left", SEAT)
    disk = """    <disk type='file' device='disk'>
      <source file='/more.qcow2'/>
      <target dev='vdb' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <controller type='pci' index='4' model='pcie-root-port'/>
"""
    since = with_device(edited.replace(">4</vcpu>", ">6</vcpu>"), disk)

    restored = restore_guest(since, OWNERS_GUEST)

    assert not devices(restored)
    assert NAMESPACE not in restored
    assert ">6</vcpu>" in restored
    assert "/more.qcow2" in restored
    ports = ElementTree.fromstring(restored).findall("devices/controller[@model='pcie-root-port']")
    # a hole below a port in use would be filled again
    assert sorted(p.get("index") for p in ports) == ["1", "2", "3", "4"]


def test_without_a_kept_definition_only_what_is_ours_goes():
    restored = restore_guest(edit_guest(OWNERS_GUEST, "left", SEAT), None)

    assert not devices(restored)
    assert NAMESPACE not in restored
    assert restore_guest(OWNERS_GUEST, None) == OWNERS_GUEST


def test_two_controllers_have_two_aliases():
    other = PciAddress.parse("0000:04:00.0")

    aliases = pci_aliases("left", (GuestPci(USB, "usb", 0), GuestPci(other, "usb", 1)))

    assert list(aliases.values()) == ["ua-phyllome-left-usb-1", "ua-phyllome-left-usb-2"]


def test_a_new_guest_is_a_plain_pc_with_the_seats_devices(golden):
    new = NewGuest("left", 8 * 2**30, 4, disk_path="/var/lib/libvirt/images/left.qcow2")

    xml = render_new_guest("left", new, SEAT, guest_uuid("left", "0123"))

    golden("new-guest.xml", xml)
    guest = parse_guest(xml, state="shut off")
    assert (guest.name, guest.seat, guest.created) == ("left", "left", True)
    assert not needs_edit(xml, "left", SEAT)


def test_a_new_guest_without_a_card_has_a_screen():
    xml = render_new_guest("left", NewGuest("left", 2**30, 1, firmware="bios"), (), "u")

    domain = ElementTree.fromstring(xml)
    assert domain.find("devices/video/model").get("type") == "virtio"
    assert domain.find("os").get("firmware") is None


SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")


@pytest.mark.skipif(not (SCHEMA.exists() and which("xmllint")), reason="no libvirt schema, xmllint")
@pytest.mark.parametrize("firmware", ["efi", "bios"])
@pytest.mark.parametrize("pci", [(), SEAT], ids=["no device", "a seat's devices"])
def test_libvirts_schema_accepts_what_we_write(tmp_path, firmware, pci):
    disk = "/dev/vg0/left" if firmware == "bios" else "/disks/left.qcow2"
    new = NewGuest("left", 2**30, 2, firmware=firmware, disk_path=disk)
    new_guest = render_new_guest("left", new, pci, guest_uuid("left", "0123"))
    edited = edit_guest(with_device(OWNERS_GUEST, OWNERS_CARD), "left", pci)

    for xml in (new_guest, edited):
        (tmp_path / "domain.xml").write_text(xml)
        command = ["xmllint", "--noout", "--relaxng", SCHEMA, tmp_path / "domain.xml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_disk_is_read_as_its_name_says():
    assert disk_format("/a/b.qcow2") == "qcow2"
    assert disk_format("/a/b.img") == "raw"
    assert disk_format("/dev/vg0/b") == "raw"


def test_the_uuid_is_the_machines_and_the_seats():
    assert guest_uuid("left", "0123") == guest_uuid("left", "0123")
    assert len({guest_uuid(s, m) for s in ("left", "right") for m in ("0123", "4567")}) == 4


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<domain>",
        "<network/>",
        "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain>&a;</domain>",
        "<domain>&undefined;</domain>",
        "<domain>\ud800</domain>",
    ],
)
def test_what_is_no_domain_is_refused_in_words(xml):
    with pytest.raises(DomainXmlError, match="domain XML"):
        parse_guest(xml, state="shut off")


XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
)


@given(XML_TEXT, XML_TEXT)
def test_hostile_names_stay_text(name, path):
    xml = render_new_guest("left", NewGuest(name, 2**30, 1, disk_path=f"/{path}"), SEAT, "u")

    domain = ElementTree.fromstring(xml)
    assert domain.findtext("name") == name
    source = domain.find("devices/disk/source")
    assert (source.get("file") or source.get("dev")) == f"/{path}"
    assert len(domain.findall("devices/hostdev")) == 3


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for xml in (text, f"<domain><name>{text}</name></domain>"):
        try:
            parse_guest(xml, state="shut off")
        except DomainXmlError:
            continue
        assert same(parse_domain(xml), parse_domain(render_domain(parse_domain(xml))))
