"""A PC that runs: commands, plugs, keys, pictures, power.

::

    with Pc.open(read_description(Path("pc.yaml"))) as pc:
        print(pc.run("lspci -nnk").stdout)

The first time a PC of a description is opened it is booted, and kept as a snapshot; then this
project is installed into it as the README tells a user, and that is kept too. From then on opening
it is copying disks and loading the snapshot.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from phyllome_seat.lab import layers, places
from phyllome_seat.lab.description import Description, UsbKind, UsbThing
from phyllome_seat.lab.edid import render_edid
from phyllome_seat.lab.errors import AgentError, BootError, LabError
from phyllome_seat.lab.image import ROOT_UUID, Image, image
from phyllome_seat.lab.keys import strokes
from phyllome_seat.lab.layers import TAG, Layer
from phyllome_seat.lab.machine import Machine, serial_tail
from phyllome_seat.lab.picture import Picture, parse_ppm
from phyllome_seat.lab.places import Say, silent
from phyllome_seat.lab.qemu import DirectBoot, FirmwareBoot, arguments, unmigratable, usb_properties
from phyllome_seat.lab.qmp import Agent, Completed

COMMAND_LINE = f"root=UUID={ROOT_UUID} ro intel_iommu=on iommu=pt console=tty0 console=ttyS0"
BOOT_TIMEOUT_S = 240.0
TABLET_MAX = 0x7FFF  # INPUT_EVENT_ABS_MAX, include/ui/input.h


class Pc:
    """One PC, running from `open` until `close`; at most one of this user's runs at a time."""

    def __init__(
        self, description: Description, built: Image, boot: str, say: Say, cleanup: ExitStack
    ) -> None:
        self.description = description
        self._image = built
        self._boot = boot
        self._say = say
        self._cleanup = cleanup
        self._machine: Machine | None = None
        self._agent: Agent | None = None
        self._layer: Layer | None = None
        self.plugged: dict[str, tuple[str, UsbThing]] = {}
        self._mice: list[str] = []
        self._disks = Path(tempfile.mkdtemp(prefix=".run-", dir=places.cache_directory()))
        cleanup.callback(shutil.rmtree, self._disks, ignore_errors=True)
        # A path per run: a QEMU that is being killed may remove its successor's socket.
        self.directory = Path(tempfile.mkdtemp(prefix="pc-", dir=places.run_directory()))
        cleanup.callback(shutil.rmtree, self.directory, ignore_errors=True)
        cleanup.callback(self._stop)

    @classmethod
    def open(
        cls,
        description: Description,
        *,
        release: str = "trixie",
        boot: str = "direct",
        install: bool = True,
        say: Say = silent,
    ) -> Self:
        """Returns the PC, up and ready. ``boot`` is direct, grub or systemd-boot.

        Waits for another PC of this user to end. Without ``install`` this project is not in it.
        """
        built = image(release, "systemd-boot" if boot == "systemd-boot" else "grub", say)
        with ExitStack() as cleanup:
            lock = places.run_directory() / "lock"
            cleanup.enter_context(
                places.locked(lock, lambda: say("waiting for the PC that runs already to end"))
            )
            _sweep()
            pc = cls(description, built, boot, say, cleanup)
            pc._become_ready(install)
            pc._cleanup = cleanup.pop_all()
        return pc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Pulls the power and removes all that this run made. Can be called twice."""
        self._cleanup.close()

    # ── commands and files ──────────────────────────────────────────────────────────────────────

    def run(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        timeout_s: float = 60.0,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        """Runs a command in the PC as root: a text by `sh -c`, a list as it is.

        Raises CommandError for a status other than 0 unless ``check`` is off, and
        CommandTimeoutError for one that does not end.
        """
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        done = self.agent.run(argv, stdin=stdin, env=env, timeout_s=timeout_s)
        done = Completed(shlex.join(argv[2:]), done.status, done.stdout, done.stderr)
        return done.check() if check else done

    def script(self, text: str, *, check: bool = True, timeout_s: float = 60.0) -> Completed:
        """Runs a shell script in the PC that stops at its first failure."""
        return self.run(
            ["/bin/sh", "-eu", "-s"], stdin=text.encode(), check=check, timeout_s=timeout_s
        )

    def put(self, path: str, content: bytes | str, mode: int = 0o644) -> None:
        """Writes a file in the PC, making its directories."""
        content = content.encode() if isinstance(content, str) else content
        self.agent.put(path, content, mode)

    def get(self, path: str) -> bytes:
        """Returns a file of the PC."""
        return self.agent.get(path)

    def wait(self, command: str, *, timeout_s: float = 60.0) -> Completed:
        """Runs a command again and again until it succeeds; CommandError when it never does."""
        end = time.monotonic() + timeout_s
        while True:
            done = self.run(command, check=False, timeout_s=timeout_s)
            if done.status == 0 or time.monotonic() >= end:
                return done.check()
            time.sleep(0.3)

    def journal(self) -> str:
        """Returns the PC's journal since it was started."""
        return self.run("journalctl --boot --no-pager --output=short-monotonic").stdout

    def serial_log(self) -> str:
        """Returns everything the PC said on its serial console."""
        return (self.directory / "serial.log").read_text(errors="replace")

    # ── what hands do ───────────────────────────────────────────────────────────────────────────

    def plug(self, thing: UsbThing, controller: str) -> None:
        """Plugs something into a port of a USB controller, or of a hub behind it."""
        if thing.kind is UsbKind.STORAGE:
            file = layers.make_stick(self._disks, thing.id)
            self.machine.execute(
                "blockdev-add",
                driver="qcow2",
                node_name=thing.id,
                file={"driver": "file", "filename": str(file)},
            )
        self.machine.execute("device_add", **usb_properties(self.description, controller, thing))
        self.plugged[thing.id] = (controller, thing)
        if thing.kind is UsbKind.MOUSE:
            self._mice.append(thing.id)

    def unplug(self, thing_id: str) -> tuple[str, UsbThing]:
        """Pulls a plugged thing out; returns the controller and the thing, for plugging it again."""
        controller, thing = self._thing(thing_id)
        self.machine.unplug(thing_id)
        if thing.kind is UsbKind.STORAGE:
            self.machine.execute("blockdev-del", node_name=thing_id)
        del self.plugged[thing_id]
        return controller, thing

    def press(self, keyboard: str, *keys: str, hold_s: float = 0.03) -> None:
        """Presses keys together on one keyboard and lets go; names are QEMU's (`a`, `ret`, `f1`)."""
        for key in keys:
            self._send(keyboard, _key(key, True))
        time.sleep(hold_s)
        for key in reversed(keys):
            self._send(keyboard, _key(key, False))

    def type(self, keyboard: str, text: str, *, pause_s: float = 0.03) -> None:
        """Types a text on one keyboard."""
        self.type_at_once({keyboard: text}, pause_s=pause_s)

    def type_at_once(self, texts: Mapping[str, str], *, pause_s: float = 0.03) -> None:
        """Types a text on each of several keyboards, a stroke here and a stroke there.

        QEMU's USB keyboard holds 16 events that the PC has not fetched and drops more
        (QUEUE_LENGTH, hw/input/hid.c): the pause is for a PC that is busy.
        """
        for number in range(max(map(len, texts.values()), default=0)):
            for keyboard, text in texts.items():
                if number < len(text):
                    self.press(keyboard, *strokes(text[number]), hold_s=pause_s)
            time.sleep(pause_s)

    def point(self, tablet: str, x: float, y: float) -> None:
        """Moves a tablet's pointer to a place on its screen, both from 0 to 1."""
        for axis, value in (("x", x), ("y", y)):
            data = {"axis": axis, "value": round(value * TABLET_MAX)}
            self._send(tablet, {"type": "abs", "data": data})

    def move(self, mouse: str, right: int, down: int) -> None:
        """Moves a relative mouse by steps."""
        self.machine.monitor(f"mouse_set {self._mouse(mouse)}")
        self.machine.monitor(f"mouse_move {right} {down}")

    def click(self, pointer: str, button: str = "left") -> None:
        """Presses and lets go a button of a tablet or mouse."""
        _, thing = self._thing(pointer)
        if thing.kind is UsbKind.MOUSE:
            self.machine.monitor(f"mouse_set {self._mouse(pointer)}")
            mask = {"left": 1, "right": 2, "middle": 4}[button]
            self.machine.monitor(f"mouse_button {mask}")
            time.sleep(0.05)
            self.machine.monitor("mouse_button 0")
            return
        for down in (True, False):
            self._send(pointer, {"type": "btn", "data": {"down": down, "button": button}})
            time.sleep(0.05)

    def picture(self, card: str) -> Picture:
        """Returns what the monitor on a card shows."""
        self.description.card(card)
        file = self.directory / "picture.ppm"
        self.machine.execute("screendump", filename=str(file), device=card)
        return parse_ppm(file.read_bytes())

    # ── power ───────────────────────────────────────────────────────────────────────────────────

    def power_cycle(self, description: Description | None = None, *, clean: bool = True) -> None:
        """Turns the PC off and on again, with other parts when a description is given.

        The PC shuts down in order, or with ``clean`` off just loses its power.
        """
        self.power_off(clean=clean)
        self.description = description or self.description
        self._start(paused=False)
        self._come_up()

    def power_off(self, *, clean: bool = True) -> None:
        """Turns the PC off; `power_cycle` turns it on again."""
        if self._machine is not None and clean:
            self.run("rm -rf /etc/phyllome-lab/edid/*; systemctl --no-block poweroff")
            self._machine.wait_end(120)
        self._stop()

    def restore(self) -> None:
        """Goes back to the moment `open` returned; what was done since is gone."""
        if self._layer is None:
            raise LabError("this PC was never ready: nothing to go back to")
        self._stop()
        self.description = self._ready_description
        for disk in self._disks.glob("*.qcow2"):
            disk.unlink()
        self._load(self._layer)

    # ── where things are ────────────────────────────────────────────────────────────────────────

    def address(self, part: str) -> str:
        """Returns the PCI address, in the PC, of a card, controller, disk or NIC: `0000:01:00.0`."""
        for bus in self.machine.execute("query-pci"):
            for device in _pci_devices(bus["devices"]):
                if device["qdev_id"] == part:
                    return f"0000:{device['bus']:02x}:{device['slot']:02x}.{device['function']:x}"
        raise LabError(f"{part}: no PCI device of that id in this PC")

    @property
    def machine(self) -> Machine:
        """QEMU; LabError while the PC is off."""
        if self._machine is None or not self._machine.alive():
            raise LabError("the PC is off", hint="power_cycle() turns it on")
        return self._machine

    @property
    def agent(self) -> Agent:
        """The guest agent; LabError while the PC is off."""
        self.machine  # noqa: B018  says so when it is off
        if self._agent is None:
            raise LabError("the PC's agent is not connected")
        return self._agent

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    def _become_ready(self, install: bool) -> None:
        """Loads the newest layer there is, and makes those that are missing."""
        made_of = self._made_of()
        booted = Layer(places.cache_directory() / f"booted-{made_of}")
        wanted = booted
        if install:
            from phyllome_seat.lab.wheel import wheel_key

            wanted = Layer(places.cache_directory() / f"ready-{made_of}-{wheel_key()}")
        self._ready_description = self.description
        if not wanted.made:
            if booted.made:
                self._load(booted)
            else:
                self._first_boot()
                self._keep(booted)
            if install:
                self._install()
                self._keep(wanted)
        if self._layer is None:
            self._layer = wanted
            self._load(wanted)

    def _made_of(self) -> str:
        version = subprocess.run(
            ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
        ).stdout
        code = [Path(module.__file__ or "").read_bytes() for module in (layers,)]
        # The arguments hold this run's paths, which are no part of what the PC is.
        argv = " ".join(self._arguments())
        argv = argv.replace(str(self._disks), "").replace(str(self.directory), "")
        return places.key(self.description, str(self._image.directory), argv, version, code)

    def _first_boot(self) -> None:
        self._say("booting the PC for the first time (a minute or so without KVM)")
        self._start(paused=False)
        self._come_up()

    def _install(self) -> None:
        """Installs this project in the PC as the README tells a user."""
        from phyllome_seat.lab.wheel import build_wheel

        self._say("installing phyllome-seat in the PC")
        wheel = build_wheel(self.directory)
        self.put(f"/root/{wheel.name}", wheel.read_bytes())
        self.run(
            "/opt/phyllome-seat/bin/pip install --no-index --no-deps --force-reinstall "
            f"/root/{wheel.name}",
            timeout_s=180,
        )

    def _keep(self, layer: Layer) -> None:
        """Keeps the PC as it is as a layer, and lets it run on from there."""
        self._say("taking a snapshot")
        if not self._cold:
            self.run("sync")
            self._close_agent()
            self.machine.execute("stop")
            self.machine.save(TAG, self._nodes())
        else:
            self.power_off()
        self._stop()
        layer.keep(self._disks, most=6)
        self._layer = None
        self._load(layer)
        self._layer = layer

    def _load(self, layer: Layer) -> None:
        layer.copy(self._disks)
        self._start(paused=not self._cold)
        if self._cold:
            self._come_up()
            return
        self.machine.load(TAG, self._nodes())
        self.machine.cont()
        self._connect(30)
        # The clock stood still in the snapshot.
        self.run(f"date --set=@{time.time():.3f}")

    def _start(self, *, paused: bool) -> None:
        layers.make_disks(self.description, self._image.disk, self._variables(), self._disks)
        self._machine = Machine(self._arguments(), self.directory, paused=paused)
        self.plugged = {
            thing.id: (controller.id, thing)
            for controller in self.description.usb
            for thing in controller.plugged
        }
        self._mice = [
            thing.id for _, thing in self.plugged.values() if thing.kind is UsbKind.MOUSE
        ]

    def _arguments(self) -> tuple[str, ...]:
        return arguments(
            self.description,
            self._how(),
            "tcg",
            disks=self._disks,
            sockets=self.directory,
        )

    def _how(self) -> DirectBoot | FirmwareBoot:
        if self._boot == "direct":
            return DirectBoot(self._image.kernel, self._image.initrd, COMMAND_LINE)
        return FirmwareBoot(Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), self._disks / "variables.qcow2")

    def _variables(self) -> Path | None:
        return None if self._boot == "direct" else Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

    def _come_up(self) -> None:
        """Waits until systemd has started everything, and gives the cards their monitors."""
        self._connect(BOOT_TIMEOUT_S)
        state = self.run("systemctl is-system-running --wait", check=False, timeout_s=180).stdout
        if state.strip() != "running":
            failed = self.run("systemctl --failed --no-legend", check=False).stdout
            raise BootError(f"the PC came up {state.strip()}: {failed}", self._serial_tail())
        self._give_monitors()

    def _connect(self, timeout_s: float) -> None:
        agent = Agent(self.directory / "agent.sock")
        try:
            agent.connect(timeout_s, alive=self.machine.alive)
        except AgentError as error:
            raise BootError(
                f"the PC's agent did not answer within {timeout_s:g} s", self._serial_tail()
            ) from error
        self._agent = agent

    def _give_monitors(self) -> None:
        screens = [(card.id, card.screen) for card in self.description.cards if card.screen]
        for card, screen in screens:
            self.put(f"/etc/phyllome-lab/edid/{self.address(card)}", render_edid(screen))
        self.script("for card in /sys/class/drm/card[0-9] /sys/class/drm/card[0-9][0-9]; do\n"
                    '[ -e "$card" ] || continue\n'
                    'path=$(readlink -f "$card"); /usr/local/sbin/lab-edid "${path#/sys}"\ndone\n')

    def _serial_tail(self) -> str:
        return serial_tail(self.directory / "serial.log")

    def _close_agent(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def _stop(self) -> None:
        self._close_agent()
        if self._machine is not None:
            self._machine.end()
            self._machine = None

    @property
    def _cold(self) -> bool:
        """Whether QEMU cannot keep this PC running in a snapshot."""
        return bool(unmigratable(self.description))

    def _nodes(self) -> tuple[str, ...]:
        return layers.snapshot_disks(self.description, self._boot != "direct")

    def _thing(self, thing_id: str) -> tuple[str, UsbThing]:
        if thing_id not in self.plugged:
            known = ", ".join(self.plugged) or "nothing"
            raise LabError(f"{thing_id}: not plugged in; plugged in: {known}")
        return self.plugged[thing_id]

    def _mouse(self, mouse: str) -> int:
        """Returns QEMU's number of a relative mouse (query-mice counts tablets too)."""
        self._thing(mouse)
        relative = [m["index"] for m in self.machine.execute("query-mice") if not m["absolute"]]
        return int(sorted(relative)[self._mice.index(mouse)])

    def _send(self, thing_id: str, event: Mapping[str, object]) -> None:
        controller, thing = self._thing(thing_id)
        display = usb_properties(self.description, controller, thing).get("display")
        if display is None:
            raise LabError(f"{thing_id}: no card to send events by", hint="give the PC a card")
        self.machine.execute("input-send-event", device=display, events=[event])


def _key(key: str, down: bool) -> dict[str, object]:
    return {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": key}}}


def _pci_devices(devices: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for device in devices:
        found.append(dict(device))
        behind = device.get("pci_bridge", {}).get("devices", [])
        found += _pci_devices(behind)
    return found


def _sweep() -> None:
    """Removes what killed runs left; called with the lock held, so nothing of it is alive."""
    for path in (*places.run_directory().glob("pc-*"), *places.cache_directory().glob(".run-*")):
        shutil.rmtree(path, ignore_errors=True)
