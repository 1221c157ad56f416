"""Seat files written in Python, what a PC answers to them, and what is changed by the answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

CONTROLLER, BOCHS = "1b36:000d", "1234:1111"  # qemu-xhci; the cards that bochs-drm drives
SEAT_FILE = "/etc/phyllome-seat/seats.yaml"
_ADDRESS = re.compile(r"\b[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b")


def seats(console="keep", **wanted):
    """Return a seat file; each seat is what it has under its name."""
    return json.dumps({"version": 1, "host": {"console": console}, "seats": wanted})


def gpu(address, identity=BOCHS):
    return {"gpu": {"pci": address, "id": identity}}


def controller(address, identity=CONTROLLER):
    return {"controller": {"pci": address, "id": identity}}


def port(address, number):
    return {"port": {"controller": address, "id": CONTROLLER, "usb2": number}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answered; ``sentences`` are the lines of its complaint."""

    status: int
    said: str

    @property
    def sentences(self):
        return [line for line in self.said.splitlines() if line.startswith("phyllome-seat: ")]

    def about(self, words):
        """Return the one sentence that has these words."""
        found = [sentence for sentence in self.sentences if words in sentence]
        assert len(found) == 1, self.said
        return found[0]


def addresses(text):
    """Return the PCI addresses that a text names."""
    return set(_ADDRESS.findall(text))


def ask(pc, files, command="phyllome-seat apply </dev/null"):
    """Return what `command` answers to each seat file, by name, and what all of it changed."""
    pc.put("/root/compare.py", Path(__file__).with_name("compare.py").read_bytes())
    pc.put("/root/files.json", json.dumps(files))
    pc.put("/root/ask.py", _ASK)
    done = pc.script(
        "python3 /root/compare.py look /root/before\n"
        f"python3 /root/ask.py /root/files.json '{command}' > /root/answers.json\n"
        "python3 /root/compare.py look /root/after\n"
        "python3 /root/compare.py diff /root/before /root/after\n",
        timeout_s=300,
    )
    answers = json.loads(pc.get("/root/answers.json"))
    return {name: Answer(*answer) for name, answer in answers.items()}, done.stdout.strip()


_ASK = """\
import json, subprocess, sys
from pathlib import Path
answers = {}
for name, text in json.load(open(sys.argv[1])).items():
    Path(f"/root/{name}.yaml").write_text(text)
    line = sys.argv[2].replace("apply", f"apply -f /root/{name}.yaml")
    done = subprocess.run(line, shell=True, capture_output=True, text=True, cwd="/")
    answers[name] = [done.returncode, done.stdout + done.stderr]
json.dump(answers, sys.stdout)
"""
