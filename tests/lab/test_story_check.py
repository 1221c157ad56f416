"""`check` in a real PC: silent while all is well, and its alarm goes by doing what it says."""

from __future__ import annotations

import json

import pytest

from phyllome_seat.model.host_json import parse_host

pytestmark = pytest.mark.lab


def alarms(pc):
    """Return fix and evidence of each error and warning by its severity and subject."""
    found = json.loads(pc.run("phyllome-seat check --json", check=False).stdout)["findings"]
    return {
        (f["severity"], f["subject"]): (f["words"], f["evidence"], f["fix"])
        for f in found
        if f["severity"] != "note"
    }


def healthy(pc):
    """Return what is right to say of the lab's PC, whose processor QEMU may emulate in software."""
    has_kvm = pc.run("test -e /dev/kvm", check=False).status == 0
    return set() if has_kvm else {("error", "virtualisation")}


def test_a_healthy_pc_gives_no_false_alarm_and_old_recipes_are_seen_and_cured(pc):
    assert set(alarms(pc)) == healthy(pc), alarms(pc)

    # a dead module: the fix is to delete that line
    pc.put("/etc/modules-load.d/passthrough.conf", "vfio_virqfd\n")
    _, evidence, fix = alarms(pc)["warning", "vfio_virqfd"]
    assert evidence.startswith("/etc/modules-load.d/passthrough.conf:1")
    assert "delete that line" in fix
    pc.run("sed -i 1d /etc/modules-load.d/passthrough.conf")
    assert set(alarms(pc)) == healthy(pc)

    # ids= that takes the host's network card too: the fix is to take the id out
    host = parse_host(pc.run("phyllome-seat scan --json").stdout)
    use = next(use for use in host.network_uses if use.why == "default route")
    where = next(n.pci for n in host.networks if n.name == use.interface)
    identity = f"{host.by_address[where].id.vendor:04x}:{host.by_address[where].id.device:04x}"
    pc.put("/etc/modprobe.d/passthrough.conf", f"options vfio-pci ids={identity}\n")
    words, evidence, fix = alarms(pc)["error", str(where)]
    assert "carries the default route" in words
    assert evidence == "/etc/modprobe.d/passthrough.conf:1"
    assert f"take {identity} out of /etc/modprobe.d/passthrough.conf:1" in fix
    pc.run(f"sed -i s/ids={identity}// /etc/modprobe.d/passthrough.conf")
    assert set(alarms(pc)) == healthy(pc)
