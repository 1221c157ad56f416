"""One QEMU process: started, spoken to by QMP, and gone when its owner is."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from phyllome_seat.lab.emulator import Emulator
from phyllome_seat.lab.errors import AgentError, BootError
from phyllome_seat.lab.qmp import Qmp


def serial_tail(log: Path, lines: int = 30) -> str:
    """Returns the last lines of a serial console, without terminal control sequences."""
    import re

    if not log.exists():
        return ""
    text = log.read_bytes()[-20000:].decode(errors="replace")
    text = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>c78])|\r", "", text)
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


class Machine:
    """A running QEMU. ``sockets`` holds qmp.sock, agent.sock, shell.sock and serial.log.

    The kernel ends QEMU when the *thread* that made this ends (PR_SET_PDEATHSIG, prctl(2)): also
    after SIGKILL nothing stays.
    """

    def __init__(
        self,
        emulator: Emulator,
        arguments: Sequence[str],
        sockets: Path,
        *,
        paused: bool = False,
    ) -> None:
        self.sockets = sockets
        self._log = sockets / "qemu.log"
        self._jobs = itertools.count()
        argv = ["setpriv", "--pdeathsig", "KILL", *emulator.argv, *arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, "-S"] if paused else argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the owner, who ends QEMU in order.
                start_new_session=True,
                env=emulator.environ,
            )
        self._qmp = Qmp(sockets / "qmp.sock")
        try:
            self._qmp.connect(timeout_s=20, alive=self.alive)
        except BaseException as error:
            self.end()
            if isinstance(error, AgentError):
                raise BootError("QEMU did not start", self._log.read_text()) from error
            raise

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Returns whether QEMU still runs."""
        return self._process.poll() is None

    def execute(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  as Qmp.execute
        """Runs a QMP command; underscores in argument names are dashes in QAPI."""
        return self._qmp.execute(command, {k.replace("_", "-"): v for k, v in arguments.items()})

    def monitor(self, line: str) -> str:
        """Runs a command of the human monitor, for what QMP has no command for."""
        return str(self.execute("human-monitor-command", command_line=line))

    def save(self, tag: str, disks: Sequence[str]) -> None:
        """Keeps the whole machine as a snapshot in its qcow2 disks, in place of an older one."""
        self._job("snapshot-delete", tag=tag, devices=list(disks))
        self._job("snapshot-save", tag=tag, vmstate=disks[0], devices=list(disks))

    def load(self, tag: str, disks: Sequence[str]) -> None:
        """Goes back to a snapshot."""
        self._job("snapshot-load", tag=tag, vmstate=disks[0], devices=list(disks))

    def cont(self) -> None:
        """Lets a paused machine run."""
        self.execute("cont")

    def unplug(self, device: str) -> None:
        """Pulls a device out and waits until it is gone."""
        self.execute("device_del", id=device)
        while self._qmp.wait_event("DEVICE_DELETED", 30)["data"].get("device") != device:
            pass  # an event without a device names something inside the one that goes

    def wait_end(self, timeout_s: float) -> None:
        """Waits until the PC has turned itself off."""
        self._qmp.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            tail = serial_tail(self.sockets / "serial.log")
            raise BootError(f"the PC did not turn off within {timeout_s:g} s", tail) from None

    def end(self) -> None:
        """Pulls the power; returns when the process is gone. Can be called twice."""
        self._qmp.close()
        if self.alive():
            self._process.kill()
        self._process.wait()

    def silence(self) -> str:
        """Returns what can be told from outside of a PC whose agent does not answer."""
        if not self.alive():
            return self.last_words()
        try:
            state = self.execute("query-status")["status"]
            looks = [self._where() for _ in range(3)]
        except AgentError as error:
            return f"QEMU's monitor does not answer either: {error}"
        return f"the PC is {state}, its processors at {' then '.join(looks)}"

    def ended(self, within_s: float) -> bool:
        """Returns whether QEMU is gone by then: its sockets go a moment before it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        return not self.alive()

    def last_words(self) -> str:
        """Returns how QEMU ended; 0 is a PC that restarted or turned itself off."""
        said = self._log.read_text()[-2000:]
        return f"the PC ended by itself, QEMU with {self._process.returncode}: {said}"

    def _where(self) -> str:
        """Returns where each processor is now: one that stands still has the same twice."""
        import re
        import time

        time.sleep(0.2)
        return ",".join(re.findall(r"RIP=(\w+)", self.monitor("info registers -a")))

    def release(self) -> None:
        """Gives the monitor's socket to whoever connects next."""
        self._qmp.close()

    def _job(self, command: str, **arguments: object) -> None:
        job = f"job{next(self._jobs)}"
        self.execute(command, job_id=job, **arguments)
        while True:
            event = self._qmp.wait_event("JOB_STATUS_CHANGE", 120)["data"]
            if event["id"] == job and event["status"] == "concluded":
                break
        (done,) = (entry for entry in self.execute("query-jobs") if entry["id"] == job)
        self.execute("job-dismiss", id=job)
        if "error" in done:
            raise AgentError(f"{command}: {done['error']}")
