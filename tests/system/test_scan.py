"""The whole PC: what the readers found, put together, with what is remembered."""

from __future__ import annotations

import json
import os
from dataclasses import replace

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import Guest, Host
from phyllome_seat.model.host_json import parse_host, render_host
from phyllome_seat.model.seen import parse_seen, remember, render_seen
from phyllome_seat.system.scan import scan
from phyllome_seat.system.sysfs import Sysfs
from tests.system.device_trees import connector, edid, event, interface, pci, root_hub, usb
from tests.system.trees import make_tree

GPU = "pci0000:00/0000:00:01.0/0000:01:00.0"
XHCI = "pci0000:00/0000:03:00.0"
KEYBOARD = f"{XHCI}/usb1/1-2"
SEEN = "var/lib/phyllome-seat/seen.json"

PC = (
    pci(GPU, driver="nouveau")
    | pci(XHCI, identity="1B73:1100", class_code="C0330", driver="xhci_hcd")
    | connector(f"{GPU}/drm/card1/card1-DP-1", edid=edid(name="DELL U2720Q"))
    | root_hub(XHCI, 1)
    | usb(KEYBOARD, serial="A1")
    | interface(f"{KEYBOARD}/1-2:1.0", "3/1/1", driver="usbhid")
    | event(f"{KEYBOARD}/1-2:1.0/0003:046D:C52B.0001/input/input7", 7)
)
BOUND = pci(GPU, driver="vfio-pci") | pci(
    XHCI, identity="1B73:1100", class_code="C0330", driver="vfio-pci"
)


def test_a_host_is_the_same_after_json(tmp_path):
    host = scan(make_tree(tmp_path, PC))

    assert parse_host(render_host(host)) == host


def test_this_machine_is_scanned():
    host = scan(Sysfs())

    assert len(host.cpus) >= (os.cpu_count() or 1)
    assert parse_host(render_host(host)) == host


def test_an_empty_machine_is_an_empty_host(tmp_path):
    host = scan(make_tree(tmp_path, {}))

    assert (host.pci, host.usb, host.inputs, host.connectors) == ((), (), (), ())
    assert parse_host(render_host(host)) == host


def test_monitors_and_keyboards_are_remembered_after_binding(tmp_path):
    before = scan(make_tree(tmp_path / "before", PC))
    seen = render_seen(remember(Host(), before))

    after = scan(make_tree(tmp_path / "after", BOUND | {SEEN: seen}))

    assert [(c.name, c.monitor.name, c.remembered) for c in after.connectors] == [
        ("DP-1", "DELL U2720Q", True)
    ]
    assert [(d.serial, d.port, d.remembered) for d in after.usb] == [
        ("A1", before.usb[0].port, True)
    ]
    assert [(d.usb, d.remembered) for d in after.inputs] == [(before.usb[0].port, True)]
    assert remember(parse_seen(seen), after) == parse_seen(seen), "a second apply keeps it"


def test_a_memory_that_cannot_be_read_is_none(tmp_path):
    host = scan(make_tree(tmp_path, BOUND | {SEEN: "{"}))

    assert host.connectors == ()


def test_libvirt_is_asked_only_when_told_to(tmp_path):
    tree = make_tree(tmp_path, {})
    guest = Guest("win11", "5f0bb4a4-0a47-4d5e-8d8e-111111111111")

    assert scan(tree).guests is None
    assert scan(tree, guests=lambda: None).guests is None
    assert scan(tree, guests=lambda: (guest,)).guests == (guest,)


def test_a_disk_image_that_is_gone_is_noted_of_a_guest_that_we_created(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    (images / "there.img").touch()
    paths = ("/images/there.img", "/images/gone.img", "/nowhere/at-all.img")
    disks = "".join(f"<disk type='file'><source file='{path}'/></disk>" for path in paths)
    ours = Guest("ours", "u1", created=True, xml=f"<domain><devices>{disks}</devices></domain>")
    theirs = replace(ours, name="theirs", uuid="u2", created=False)

    found = scan(Sysfs(str(tmp_path)), guests=lambda: (ours, theirs)).guests

    assert [guest.gone for guest in found] == [("/images/gone.img",), ()]


def test_a_function_whose_unbind_hangs_is_not_waited_for(tmp_path):
    pending = {
        "address": "0000:01:00.0",
        "driver": "nouveau",
        "pid": 77,
        "started": 4242,
        "holders": [],
        "doing": "unbind from",
    }
    files = PC | {f"sys/devices/{GPU}/{name}": text for name, text in LOCK_FREE.items()}
    files[f"sys/devices/{GPU}/driver_override"] = "vfio-pci\n"
    files["run/phyllome-seat/pending/0000:01:00.0"] = json.dumps(pending)
    files["proc/77/stat"] = "77 (sh) D " + "0 " * 18 + "4242 0\n"  # proc_pid_stat(5)

    host = scan(make_tree(tmp_path, files))

    assert [p.address for p in host.pending] == [PciAddress.parse("0000:01:00.0")]
    assert host.by_address[host.pending[0].address].override is None
    assert host.by_address[host.pending[0].address].driver == "nouveau"


LOCK_FREE = {
    "vendor": "0x10de\n",
    "device": "0x2786\n",
    "subsystem_vendor": "0x1043\n",
    "subsystem_device": "0x88e2\n",
    "class": "0x030000\n",
}
