"""The two-seat PC as its owner has it, and what it was before anybody thought of seats."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.conftest import EXAMPLE
from tests.lab.story import Story

COMPARE = Path(__file__).with_name("compare.py")
LEFT_XML = EXAMPLE.with_name("left.xml").read_text()
LEFT_UUID = "5f0bb4a4-0a47-4d5e-8d8e-0123456789ab"
RIGHT_DISK = "/var/lib/libvirt/phyllome-lab/right.img"
SCREEN = """
  <graphics type='vnc' port='-1' autoport='yes' passwd='{}'/><video><model type='none'/></video>"""
NOTES_XML = f"""<domain type='kvm'><name>notes</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices>{SCREEN.format("unrelat")}</devices></domain>"""
MONITORS = """\
for edid in /lib/firmware/phyllome-lab/*.bin; do
  pci=$(basename "$edid" .bin)
  case $(readlink "/sys/bus/pci/devices/$pci/driver") in */vfio-pci) continue ;; esac
  # From a pipe: a file of sysfs has no size, and cmp takes files of unequal sizes for different.
  cat "/sys/bus/pci/devices/$pci"/drm/card*/card*-*/edid | cmp - "$edid" && continue
  ls -l "/sys/bus/pci/devices/$pci/driver" "/sys/bus/pci/devices/$pci/drm"; exit 1
done
"""
SECRETS = ("unrelat", "ofleft")


class Machine:
    """The PC with its two seats, and what it was before anybody thought of seats."""

    def __init__(self, pc):
        self.pc = pc
        self.story = Story(pc)
        self.knows_applied = False

    def prepare(self):
        """Gives it the seat file and domains with passwords, of which one is nobody's seat."""
        self.story.prepare()
        left = LEFT_XML.replace("<memballoon", SCREEN.format("ofleft") + "<memballoon")
        left = left.replace("</name>", f"</name><uuid>{LEFT_UUID}</uuid>")
        self.pc.put("/root/left.xml", left)
        self.pc.put("/root/notes.xml", NOTES_XML)
        self.pc.put("/root/compare.py", COMPARE.read_text())
        # Seat right's disk is made by apply; the one with the small guest on it waits.
        self.pc.script(
            "virsh -q undefine left; virsh -q define /root/left.xml;"
            f"virsh -q define /root/notes.xml; mv {RIGHT_DISK} /root/right.img"
        )
        self.look("before")

    def look(self, name):
        self.pc.run(f"python3 /root/compare.py look /root/{name}.json /root/before.json")

    def differences(self, before):
        """Returns what is otherwise now than in an earlier look."""
        self.look("now")
        diff = f"python3 /root/compare.py diff /root/{before}.json /root/now.json"
        return self.pc.run(diff).stdout.splitlines()

    def command(self, *words, check=True):
        return self.story.command(*words, check=check, timeout_s=180)

    def plan(self):
        """Returns the plan's steps in words."""
        return [step["words"] for step in json.loads(self.command("plan", "--json"))["steps"]]

    def go_back(self):
        """Reverts; the disk that apply made is its owner's now, who throws it away."""
        self.command("revert")
        self.wait_monitors()
        self.forget_disk()

    def wait_monitors(self):
        """Waits until each card that has a driver of the host's shows its own monitor again.

        The lab gives a card its monitor when the card comes, which may take binding it twice.
        """
        self.pc.put("/root/monitors.sh", MONITORS)
        self.pc.wait(
            "sh /root/monitors.sh && udevadm settle && sh /root/monitors.sh", timeout_s=180
        )

    def forget_disk(self):
        self.pc.run(f"rm -f {RIGHT_DISK}")
