"""A PC that runs: commands, files, power; what hands do at it is in `hands`.

::

    with Pc.open(read_description(Path("pc.yaml"))) as pc:
        print(pc.run("lspci -nnk").stdout)

The first time a PC of a description is opened it is booted, and kept as a snapshot; then this
project is installed into it as the README tells a user, and that is kept too. From then on opening
it is copying disks and loading the snapshot.
"""

from __future__ import annotations

import atexit
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from phyllome_seat.lab import layers, places
from phyllome_seat.lab.accel import acceleration
from phyllome_seat.lab.boot import SETTLE_LOADER, Boot
from phyllome_seat.lab.description import Description
from phyllome_seat.lab.edid import render_edid
from phyllome_seat.lab.emulator import emulator
from phyllome_seat.lab.errors import AgentError, BootError, DiedError, LabError
from phyllome_seat.lab.hands import Hands
from phyllome_seat.lab.image import image
from phyllome_seat.lab.layers import TAG, Layer
from phyllome_seat.lab.machine import Machine, serial_tail
from phyllome_seat.lab.places import Say, silent
from phyllome_seat.lab.qemu import unmigratable, usb_in_order
from phyllome_seat.lab.qmp import Agent, Completed
from phyllome_seat.lab.wheel import build_wheel, wheel_key

BOOT_TIMEOUT_S = 300.0
_EDID_FILES = "/lib/firmware/phyllome-lab"


class Pc(Hands):
    """One PC, running from `open` until `close`; at most one of this user's runs at a time."""

    def __init__(self, description: Description, boot: Boot, say: Say, cleanup: ExitStack) -> None:
        self.description = description
        self.boot = boot
        self.plugged = {}
        self.served = {}
        self._say = say
        self._cleanup = cleanup
        self._machine: Machine | None = None
        self._agent: Agent | None = None
        self._ready: tuple[Layer, Description] | None = None
        self._may_restart = False
        self.disks = Path(
            tempfile.mkdtemp(prefix=places.disks_prefix(), dir=places.cache_directory())
        )
        cleanup.callback(shutil.rmtree, self.disks, ignore_errors=True)
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
        may_restart: bool = False,
        say: Say = silent,
    ) -> Self:
        """Returns the PC, up and ready. ``boot`` is direct, grub or systemd-boot.

        Waits for another PC of this user to end. Without ``install`` this project is not in it.
        Unless it ``may_restart``, a PC that does so from inside is over: one that crashed must not
        pass for one that goes on.
        """
        loader = "systemd-boot" if boot == "systemd-boot" else "grub"
        image(release, loader, say)  # may take minutes: not while others wait for their PC
        with ExitStack() as cleanup:
            cleanup.enter_context(places.locked(places.run_directory() / "lock", say))
            _sweep()
            built = image(release, loader, say)  # who had the PC may have swept that one away
            qemu = emulator(say)
            way = Boot(built, boot, acceleration(built.kernel, qemu, say), qemu)
            pc = cls(description, way, say, cleanup)
            pc._become_ready(install)
            if may_restart:
                pc._let_restart()
            # Who never closes it leaves nothing either: an example, a test that failed.
            cleanup.callback(atexit.unregister, pc.close)
            pc._cleanup = cleanup.pop_all()
        atexit.register(pc.close)
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
        text = isinstance(command, str)
        argv = ["/bin/sh", "-c", str(command)] if text else list(command)
        try:
            done = self.agent.run(argv, stdin=stdin, env=env, timeout_s=timeout_s)
        except AgentError as error:
            raise self._silent(error) from error
        shown = str(command) if text else shlex.join(argv)
        done = Completed(shown, done.status, done.stdout, done.stderr)
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
        """Returns what the PC said on its serial console since it was ready."""
        log = self.directory / "serial.log"
        return log.read_text(errors="replace") if log.exists() else ""

    # ── power ───────────────────────────────────────────────────────────────────────────────────

    def power_cycle(self, description: Description | None = None, *, clean: bool = True) -> None:
        """Turns the PC off and on again, with other parts when a description is given.

        The PC shuts down in order, or with ``clean`` off just loses its power.
        """
        if self._machine is not None and description not in (None, self.description) and clean:
            # Addresses may move: better no monitor's name than another's.
            self.run(f"rm -f {_EDID_FILES}/*")
        self.power_off(clean=clean)
        self.description = description or self.description
        self._start()
        self._come_up()

    def power_off(self, *, clean: bool = True) -> None:
        """Turns the PC off; `power_cycle` turns it on again."""
        if self._machine is not None and clean:
            self.run("systemctl --no-block poweroff")
            self._machine.wait_end(120)
        self._stop()

    def restore(self) -> None:
        """Goes back to the moment `open` returned; what was done since is gone."""
        if self._ready is None:
            raise LabError("this PC was never ready: nothing to go back to")
        layer, self.description = self._ready
        self._load(layer)

    @property
    def machine(self) -> Machine:
        """QEMU; LabError while the PC is off."""
        if self._machine is None:
            raise LabError("the PC is off", hint="power_cycle() turns it on")
        if not self._machine.alive():
            raise self._died()
        return self._machine

    @property
    def agent(self) -> Agent:
        """The guest agent; LabError while the PC is off."""
        agent = self._agent if self.machine else None
        if agent is None:
            raise LabError("the PC is off", hint="power_cycle() turns it on")
        return agent

    # ── getting there ───────────────────────────────────────────────────────────────────────────

    def _become_ready(self, install: bool) -> None:
        """Loads the newest layer there is, and makes those that are missing."""
        made_of = places.key(*self.boot.made_of(self.description))
        cache = places.cache_directory()
        booted = Layer(cache / f"booted-{made_of}")
        wanted = Layer(cache / f"ready-{made_of}-{wheel_key()}") if install else booted
        if not wanted.made and not booted.made:
            self._first_boot()
            self._keep(booted)
        if not wanted.made:
            self._load(booted)
            self._install()
            self._keep(wanted)
        self._load(wanted)
        self._ready = (wanted, self.description)

    def _first_boot(self) -> None:
        self._say("booting the PC for the first time (a minute or two without KVM)")
        self._start()
        self._come_up()
        if self.boot.kind in SETTLE_LOADER:
            self._say(f"installing {self.boot.kind} on its disk")
            self.script(SETTLE_LOADER[self.boot.kind], timeout_s=300)

    def _install(self) -> None:
        """Installs this project in the PC as the README tells a user."""
        self._say("installing phyllome-seat in the PC")
        wheel = build_wheel(self.directory)
        self.put(f"/root/{wheel.name}", wheel.read_bytes())
        self.run(
            "/opt/phyllome-seat/bin/pip install --no-index --no-deps --force-reinstall "
            f"/root/{wheel.name}",
            timeout_s=300,
        )

    def _keep(self, layer: Layer) -> None:
        """Keeps the PC as it is now, and ends it."""
        self._say("taking a snapshot")
        if self._cold:
            self.power_off()
        else:
            self.run("sync")
            self._close_agent()
            self.machine.execute("stop")
            self.machine.save(TAG, self._nodes())
        self._stop()
        layer.keep(self.disks)

    def _load(self, layer: Layer) -> None:
        """Puts the PC where a layer was kept."""
        self._stop()
        (self.directory / "serial.log").unlink(missing_ok=True)
        layer.copy(self.disks)
        self._start(paused=not self._cold)
        if self._cold:
            self._come_up()
            return
        self.machine.load(TAG, self._nodes())
        self.machine.cont()
        self._connect(30)
        # The clock stood still in the snapshot.
        self.run(f"date --set=@{time.time():.3f}")

    def _start(self, *, paused: bool = False) -> None:
        firmware = self.boot.firmware
        variables = firmware[1] if firmware else None
        layers.make_disks(self.description, self.boot.image.disk, variables, self.disks)
        arguments = self.boot.arguments(self.description, self.disks, self.directory)
        self._machine = Machine(self.boot.emulator, arguments, self.directory, paused=paused)
        if self._may_restart:
            self._let_restart()
        self.plugged = {
            thing.id: (controller, thing) for controller, thing in usb_in_order(self.description)
        }

    def _come_up(self) -> None:
        """Waits until systemd has started everything, and gives the cards their monitors."""
        self._connect(BOOT_TIMEOUT_S)
        # Hubs are read by a kernel thread that neither systemd nor udev waits for.
        count = "ls /sys/bus/usb/devices | grep -c '^[0-9.-]*$'"
        self.wait(f"test $({count}) -ge {len(self.plugged)}", timeout_s=120)
        self.run("udevadm settle", timeout_s=120)
        state = self.run("systemctl is-system-running --wait", check=False, timeout_s=180).stdout
        if state.strip() != "running":
            failed = self.run("systemctl --failed --no-legend", check=False).stdout
            raise self._not_up(f"the PC came up {state.strip()}: {failed}")
        self._give_monitors()

    def _connect(self, timeout_s: float) -> None:
        agent = Agent(self.directory / "agent.sock")
        try:
            agent.connect(timeout_s, alive=self.machine.alive)
        except AgentError as error:
            what = f"the PC's agent did not answer within {timeout_s:g} s"
            raise self._not_up(what) from error
        self._agent = agent

    def _give_monitors(self) -> None:
        """Writes each card's EDID where the PC's drivers look for it."""
        for card in self.description.cards:
            if card.screen is not None:
                path = f"{_EDID_FILES}/{self.address(card.id)}.bin"
                self.put(path, render_edid(card.screen))
        self.script("/usr/local/sbin/lab-edid; udevadm settle")

    def _not_up(self, what: str) -> BootError:
        """Returns the error for a PC that is not up; its whole console log outlives the run."""
        log, kept = self.directory / "serial.log", places.cache_directory() / "last-failed-boot.log"
        if log.exists():
            shutil.copyfile(log, kept)
        return BootError(what, serial_tail(log), hint=f"all of it is in {kept}")

    def _silent(self, error: AgentError) -> AgentError:
        """Returns the error of an agent that does not answer, with what the PC looks like."""
        if self._machine is None:
            return AgentError(f"{error}; the PC is off")
        if self._machine.ended(within_s=1):
            return self._died()
        tail = serial_tail(self.directory / "serial.log")
        said = f"the last lines on its serial console:\n{tail}"
        return AgentError(f"{error}; {self._machine.silence()}; {said}")

    def _died(self) -> DiedError:
        """Returns the error of a PC that ended; its whole console log outlives the run."""
        what = self._machine.last_words() if self._machine else ""
        log, kept = self.directory / "serial.log", places.cache_directory() / "last-crash.log"
        if log.exists():
            shutil.copyfile(log, kept)
        said = f"the last lines on its serial console:\n{serial_tail(log)}"
        return DiedError(f"{what}; {said}", hint=f"all of it is in {kept}")

    def _let_restart(self) -> None:
        """Lets the PC restart from inside, now and after a power cycle."""
        self._may_restart = True
        if self._machine is not None:
            self._machine.execute("set-action", reboot="reset")

    def _close_agent(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def _stop(self) -> None:
        self._close_agent()
        if self._machine is not None:
            self._machine.end()
            self._machine = None
        while self.served:
            self.served.popitem()[1].close()

    @property
    def _cold(self) -> bool:
        """Whether QEMU cannot keep this PC running in a snapshot."""
        return bool(unmigratable(self.description))

    def _nodes(self) -> tuple[str, ...]:
        return layers.snapshot_disks(self.description, self.boot.kind != "direct")


def _sweep() -> None:
    """Removes what killed runs left; called with the lock held, so nothing of it is alive."""
    disks = places.cache_directory().glob(f"{places.disks_prefix()}*")
    for path in (*places.run_directory().glob("pc-*"), *disks):
        shutil.rmtree(path, ignore_errors=True)
