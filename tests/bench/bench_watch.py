"""The watch against what people write today: a udev rule, a script, `virsh attach-device`.

In the lab's PC, in one run. A keyboard is plugged into seat left's socket again and again, once
with the watch and once with the rule; both times are counted from where udev is done with its rules
for the device's ``bind``, and what libvirt itself needs for the call is taken off.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench.row import Row

WARM, PLUGS, COLD = 2, 9, 3
COLD_S = 30  # by then the watch has let libvirt go
IDLE_S = 300
HELPER = Path(__file__).with_name("watch_in_pc.py")
# The script needs no process but virsh; udev has its facts in the environment (udev(7), RUN).
RULE = (
    'ACTION=="bind", SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", '
    'KERNELS=="HOST_USB", KERNEL=="*-4", RUN+="/usr/local/sbin/attach"\n'
)
SCRIPT = """\
#!/bin/sh
vendor=${PRODUCT%%/*} rest=${PRODUCT#*/}
bus=${BUSNUM#${BUSNUM%%[!0]*}} device=${DEVNUM#${DEVNUM%%[!0]*}}
echo "<hostdev mode='subsystem' type='usb'><source>\
<vendor id='0x$vendor'/><product id='0x${rest%%/*}'/>\
<address bus='$bus' device='$device'/></source></hostdev>" >/run/attach.xml
exec /usr/bin/virsh -q attach-device left /run/attach.xml --live
"""
_MONITOR = re.compile(r"(KERNEL|UDEV) *\[([\d.]+)\] +(\w+) +(\S+) ")
OURS, THEIRS = "2", "4"  # sockets of the host's controller: seat left's, and nobody's
_KEYS = ((OURS, "KERNEL", "add"), (OURS, "KERNEL", "bind"), (OURS, "UDEV", "bind"))
OWN = "PC: a plug: own time from udev's bind to attached"
ROWS = {
    "own": (f"{OWN} / libvirt's call", 0.10, "x"),
    "script": (f"{OWN} / the script's", 1 / 3, "x"),
    "own_s": (OWN, None, "s"),
    "told_s": ("PC: the same until it was read back and told", None, "s"),
    "cold_s": ("PC: the same of a plug after half a minute of nothing", None, "s"),
    "script_s": ("PC: the same of a udev rule with a script with virsh", None, "s"),
    "whole": ("PC: a plug: from the kernel's uevent to attached", None, "s"),
    "call": ("PC: a plug: of that libvirt's call", None, "s"),
    "whole_script": ("PC: a plug by the script: from the kernel's uevent to attached", None, "s"),
    "idle": ("PC: wakeups of the idle service in five minutes, all threads", 1, ""),
    "memory": ("PC: memory of the service / Python with libvirt and pyudev imported", 1.5, "x"),
    "event": ("PC: an event of no seat's device / pyudev receiving it", 2, "x"),
}


def measure_watch(description: Path | None, say: Callable[[object], None]) -> Iterator[Row]:
    """Return a row for each thing measured, without values where there is no PC."""
    found = {} if description is None else _measure(description, say)
    for name, (what, limit, unit) in ROWS.items():
        yield Row(what, found.get(name), limit, unit)


def _measure(description: Path, say: Callable[[object], None]) -> dict[str, float]:
    # Imported here: without QEMU's library the rest is measured all the same.
    from phyllome_seat.lab.describe import read_description
    from phyllome_seat.lab.pc import Pc
    from tests.lab.test_story_watch import OF_THE_EXAMPLE, Desk, seat_file

    with Pc.open(read_description(description), say=say) as pc:
        for thing in OF_THE_EXAMPLE:
            pc.unplug(thing)
        desk = Desk(pc)
        desk.prepare(seat_file())
        desk.command("apply")
        pc.run("virsh -q start left")
        desk.wait_ready("left")
        pc.put("/root/watch_in_pc.py", HELPER.read_bytes())
        bench = _Bench(desk)
        return bench.plugs() | bench.service()


class _Bench:
    """The PC with guest left running, and nothing plugged into its socket."""

    def __init__(self, desk: Any) -> None:
        self.desk, self.pc = desk, desk.pc

    def start(self, what: str) -> None:
        """Start a part of the helper, and wait until it listens."""
        python = "$(sed -n '1s/^#!//p' $(command -v phyllome-seat))"
        self.pc.run(
            f"rm -f /run/{what}; systemd-run -q --unit=bench-{what} -p "
            f"StandardOutput=append:/run/{what} {python} /root/watch_in_pc.py {what}"
        )
        self.pc.wait(f"grep -q watching /run/{what}")

    def lines(self, what: str) -> list[dict[str, float]]:
        """Return what a part of the helper has said."""
        lines = [json.loads(line) for line in self.pc.get(f"/run/{what}").splitlines()]
        return [line for line in lines if "watching" not in line]

    def stop(self, what: str) -> None:
        self.pc.run(f"systemctl stop bench-{what}")

    # -- a plug ------------------------------------------------------------------------------------

    def plugs(self) -> dict[str, float]:
        """Return the times of a plug, ours and the script's, medians.

        They take turns, in two sockets: what disturbs one disturbs both.
        """
        self.pc.put("/usr/local/sbin/attach", SCRIPT, 0o755)
        host_usb = self.pc.address("host-usb")
        self.pc.put("/etc/udev/rules.d/99-attach.rules", RULE.replace("HOST_USB", host_usb))
        self.pc.run("udevadm control --reload")
        self.start("watch")
        self.start("added")
        self.pc.run(
            "systemd-run -q --unit=bench-monitor -p StandardOutput=truncate:/run/u "
            "udevadm monitor --kernel --udev --subsystem-match=usb/usb_device"
        )
        time.sleep(1)
        for number in range(1, WARM + PLUGS + 1):
            self._plug_ours(number)
            self._plug_theirs(2 * number)
        for number in range(WARM + PLUGS + 1, WARM + PLUGS + COLD + 1):
            time.sleep(COLD_S)
            self._plug_ours(number)
        for what in ("monitor", "watch", "added"):
            self.stop(what)
        self.pc.run("rm /etc/udev/rules.d/99-attach.rules; udevadm control --reload")
        return _times(self.pc.get("/run/u").decode(), self.lines("watch"), self.lines("added"))

    def _plug_ours(self, number: int) -> None:
        self.desk.plug("left")
        self.pc.wait(f"test $(grep -c attached /run/watch) -ge {number}")
        time.sleep(1)
        self.desk.pull("left")
        self.desk.wait_right()
        time.sleep(1)

    def _plug_theirs(self, number: int) -> None:
        """Plug into the socket of the script; what is added to the guest is counted with ours."""
        from phyllome_seat.lab.description import UsbKind, UsbThing

        self.pc.plug(UsbThing("theirs", UsbKind.KEYBOARD, THEIRS), "host-usb")
        self.pc.wait(f"test $(grep -c added /run/added) -ge {number}")
        time.sleep(1)
        self.pc.unplug("theirs")
        self._detach()
        time.sleep(1)

    def _detach(self) -> None:
        self.pc.run("virsh -q detach-device left /run/attach.xml --live")

    # -- the service -------------------------------------------------------------------------------

    def service(self) -> dict[str, float]:
        """Return what the installed service costs while nothing of a seat's happens."""
        self.desk.command("watch", "--install")
        self.start("bare")
        self.start("receive")
        own, bare = self._pid("phyllome-seat-watch"), self._pid("bench-bare")
        self._plug_for_nobody(WARM)
        before = [self._cpu_ns(unit) for unit in ("phyllome-seat-watch", "bench-receive")]
        self._plug_for_nobody(PLUGS)
        after = [self._cpu_ns(unit) for unit in ("phyllome-seat-watch", "bench-receive")]
        ours_ns, theirs_ns = (b - a for a, b in zip(before, after, strict=True))
        memory = self._resident_kib(own) / self._resident_kib(bare)
        self.desk.wait_let_go()
        return {"event": ours_ns / theirs_ns, "memory": memory, "idle": self._wakeups(own)}

    def _plug_for_nobody(self, times: int) -> None:
        """Plug something into a socket of the host's."""
        from phyllome_seat.lab.description import UsbKind, UsbThing

        for number in range(times):
            self.pc.plug(UsbThing(f"n{number}", UsbKind.MOUSE, "4"), "host-usb")
            self.pc.run("udevadm settle")
            time.sleep(1)
            self.pc.unplug(f"n{number}")
            self.pc.run("udevadm settle")
            time.sleep(1)

    def _pid(self, unit: str) -> int:
        return int(self.pc.run(f"systemctl show -P MainPID {unit}").stdout)

    def _cpu_ns(self, unit: str) -> int:
        """Return how long all its threads have been on a processor (/proc/PID/schedstat, first)."""
        paths = f"/proc/{self._pid(unit)}/task/*/schedstat"
        return sum(int(line.split()[0]) for line in self.pc.run(f"cat {paths}").stdout.splitlines())

    def _wakeups(self, pid: int) -> int:
        """Return how often threads wake up while nothing happens: each then goes to sleep again.

        Which is a switch of its own will; the others are the scheduler's, where others work.
        """
        time.sleep(5)
        before = self._switches(pid)
        time.sleep(IDLE_S)
        return self._switches(pid) - before

    def _switches(self, pid: int) -> int:
        said = self.pc.run(f"grep -h ^voluntary_ctxt_switches /proc/{pid}/task/*/status").stdout
        return sum(int(word) for word in said.split() if word.isdigit())

    def _resident_kib(self, pid: int) -> int:
        return int(self.pc.run(f"awk '/^VmRSS/ {{print $2}}' /proc/{pid}/status").stdout)


def _times(
    monitor: str, done: list[dict[str, float]], added: list[dict[str, float]]
) -> dict[str, float]:
    """Return the medians from what udevadm's monitor, the watch and libvirt's event said.

    Both end with libvirt's event of the device, less libvirt's call up to there, which is ours for
    both; ours and theirs took turns.
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    for who, at_s, action, path in _MONITOR.findall(monitor):
        place = path.rpartition("-")[2]
        found.setdefault((place, who, action), []).append(float(at_s))
    times = {key: values[WARM:] for key, values in found.items()}
    add, kernel, udev = (times[key] for key in _KEYS)
    in_turns = added[: 2 * (WARM + PLUGS)]
    arrived = [line["added"] for line in in_turns[0::2]][WARM:]
    ours = list(zip(done[WARM:], add, kernel, udev, strict=True))
    ours, cold = ours[:PLUGS], ours[PLUGS:]
    call_s = statistics.median(line["call_s"] for line, *_ in ours)
    rules_s = statistics.median(udev_s - kernel_s for _, _, kernel_s, udev_s in ours)
    own_s = statistics.median(line["began"] - udev_s for line, *_, udev_s in ours)
    told_s = statistics.median(
        line["attached"] - udev_s - line["call_s"] for line, *_, udev_s in ours
    )
    until_s = statistics.median(
        at_s - line["began"] for at_s, (line, *_) in zip(arrived, ours, strict=True)
    )
    their_add, their_bind = times[THEIRS, "KERNEL", "add"], times[THEIRS, "KERNEL", "bind"]
    theirs = list(zip(in_turns[1::2][WARM:], their_add, their_bind, strict=True))
    # udev sends its event when the script has ended: it is done with its rules before
    script_s = statistics.median(
        line["added"] - bind_s - rules_s - until_s for line, _, bind_s in theirs
    )
    return {
        "own": own_s / call_s,
        "script": own_s / script_s,
        "own_s": own_s,
        "told_s": told_s,
        "cold_s": statistics.median(line["began"] - udev_s for line, *_, udev_s in cold),
        "script_s": script_s,
        "whole": statistics.median(line["attached"] - add_s for line, add_s, *_ in ours),
        "call": call_s,
        "whole_script": statistics.median(line["added"] - add_s for line, add_s, _ in theirs),
    }


def main() -> None:
    """Print these rows alone."""
    import sys

    root = Path(__file__).parents[2]
    description = root / "examples/two-seat-gaming-pc/pc.yaml"
    for row in measure_watch(description, lambda line: print(line, file=sys.stderr)):
        print(row, flush=True)


if __name__ == "__main__":
    main()
