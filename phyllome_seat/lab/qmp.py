"""Talking to QEMU (QMP) and to the guest agent in the PC, both over unix sockets."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import QMPClient, QMPError

from phyllome_seat.lab.errors import AgentError, CommandError, CommandTimeoutError

_Answer = TypeVar("_Answer")
# One answer is one line. The guest agent keeps up to 16 MiB of each stream (GUEST_EXEC_MAX_OUTPUT
# in qga/commands.c), which base64 makes a third longer.
ANSWER_LIMIT = 64 * 1024 * 1024


class Qmp:
    """One connection to QEMU's monitor, or with ``agent`` to the guest agent behind a socket."""

    def __init__(self, socket: Path, *, agent: bool = False) -> None:
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._client = QMPClient(socket.name, readbuflen=ANSWER_LIMIT)
        self._client.await_greeting = not agent
        self._client.negotiate = not agent

    def connect(self, timeout_s: float = 10.0, alive: Callable[[], bool] = lambda: True) -> None:
        """Connects, trying again while the socket is not there yet and its owner is alive."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                self._run(self._client.connect(str(self._socket)), timeout_s)
            except (QMPError, OSError, TimeoutError) as error:
                if time.monotonic() >= end or not alive():
                    raise AgentError(f"{self._socket.name}: no answer: {error}") from error
                time.sleep(0.05)
            else:
                return

    def execute(
        self, command: str, arguments: Mapping[str, object] | None = None, timeout_s: float = 60.0
    ) -> Any:  # noqa: ANN401  what a command answers is its own business (QAPI)
        """Runs one command and returns what it answers."""
        try:
            return self._run(self._client.execute(command, arguments), timeout_s)
        except TimeoutError:  # before OSError, of which it is a kind
            raise AgentError(f"{command}: no answer within {timeout_s:g} s") from None
        except (QMPError, OSError, EOFError) as error:
            raise AgentError(f"{command}: {error}") from error

    def wait_event(self, name: str, timeout_s: float) -> Mapping[str, Any]:
        """Returns the first event of that name, also one that has come already."""
        try:
            return self._run(self._next_event(name), timeout_s)
        except TimeoutError:
            raise AgentError(f"{name}: not seen within {timeout_s:g} s") from None

    def close(self) -> None:
        """Ends the connection; does nothing when it is gone already."""
        if self._loop.is_closed():
            return
        # The other side may have gone first: that is what is wanted here.
        with suppress(QMPError, OSError, EOFError, TimeoutError):
            self._run(self._client.disconnect(), 5)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _next_event(self, name: str) -> Mapping[str, Any]:
        while True:
            event: Mapping[str, Any] = await self._client.events.get()
            if event["event"] == name:
                return event

    def _run(self, awaitable: Awaitable[_Answer], timeout_s: float) -> _Answer:
        return self._loop.run_until_complete(asyncio.wait_for(awaitable, timeout_s))


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command in the PC ended: its exit status (128 + N for signal N) and its output."""

    command: str
    status: int
    stdout: str
    stderr: str

    def check(self) -> Completed:
        """Returns itself; raises CommandError when the status is not 0."""
        if self.status != 0:
            raise CommandError(self.command, self.status, self.stdout, self.stderr)
        return self


class Agent:
    """The guest agent of a running PC: commands and files."""

    def __init__(self, socket: Path) -> None:
        self._qmp = Qmp(socket, agent=True)

    def connect(self, timeout_s: float, alive: Callable[[], bool] = lambda: True) -> None:
        """Connects and waits until the agent answers, or its machine is no longer alive."""
        self._qmp.connect()
        end = time.monotonic() + timeout_s
        while True:
            token = int(time.monotonic() * 1000)
            try:
                # An agent just restored may still answer somebody who asked before the snapshot;
                # the token tells our answer from theirs.
                if self._qmp.execute("guest-sync", {"id": token}, timeout_s=2) == token:
                    return
            except AgentError:
                if time.monotonic() >= end or not alive():
                    self._qmp.close()
                    raise

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> Completed:
        """Runs a program in the PC as root; its end is waited for, a late one is killed."""
        arguments: dict[str, object] = {
            # A process group of its own, so that what it started can be killed with it.
            "path": "/usr/bin/setsid",
            "arg": list(argv),
            "capture-output": True,
            "env": [f"{key}={value}" for key, value in {**_ENVIRONMENT, **(env or {})}.items()],
        }
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        pid = self._qmp.execute("guest-exec", arguments)["pid"]
        command = " ".join(argv)
        end = time.monotonic() + timeout_s
        pause_s = 0.01
        while True:
            state = self._qmp.execute("guest-exec-status", {"pid": pid})
            if state["exited"]:
                return _completed(command, state)
            if time.monotonic() >= end:
                kill = {"path": "/bin/kill", "arg": ["-KILL", "--", f"-{pid}"]}
                self._qmp.execute("guest-exec", kill)
                raise CommandTimeoutError(command, timeout_s)
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.2)

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Writes a file in the PC, making its directories."""
        made = self.run(["/bin/sh", "-c", 'mkdir -p "${1%/*}/" && : >"$1"', "sh", path])
        made.check()
        handle = self._qmp.execute("guest-file-open", {"path": path, "mode": "w"})
        try:
            for start in range(0, len(content), 1 << 20):
                chunk = base64.b64encode(content[start : start + (1 << 20)]).decode()
                self._qmp.execute("guest-file-write", {"handle": handle, "buf-b64": chunk})
        finally:
            self._qmp.execute("guest-file-close", {"handle": handle})
        self.run(["/bin/chmod", f"{mode:o}", path]).check()

    def get(self, path: str) -> bytes:
        """Returns a file of the PC, whole."""
        handle = self._qmp.execute("guest-file-open", {"path": path, "mode": "r"})
        content = b""
        try:
            while True:
                part = self._qmp.execute("guest-file-read", {"handle": handle, "count": 1 << 20})
                content += base64.b64decode(part["buf-b64"])
                if part["eof"]:
                    return content
        finally:
            self._qmp.execute("guest-file-close", {"handle": handle})

    def close(self) -> None:
        """Ends the connection."""
        self._qmp.close()


# What a login of root would have; the agent is a service and has little.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


def _completed(command: str, state: Mapping[str, Any]) -> Completed:
    if state.get("out-truncated") or state.get("err-truncated"):
        raise AgentError(f"`{command}`: more output than the agent carries; write it to a file")
    status = 128 + state["signal"] if "signal" in state else state["exitcode"]
    stdout, stderr = (
        base64.b64decode(state.get(key, "")).decode(errors="replace")
        for key in ("out-data", "err-data")
    )
    return Completed(command, status, stdout, stderr)
