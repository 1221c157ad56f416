"""Progress for a person: one line that counts on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

_TICK_S = 0.5


class Progress:
    """What is being done and for how long; call it with each next thing."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._doing = ""
        self._since = self._start = time.monotonic()
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __call__(self, doing: str) -> None:
        """Says that the last thing is done and this one begins."""
        with self._lock:
            self._finish()
            self._doing, self._since = doing, time.monotonic()
            if self._live:
                self._draw()
            else:
                self._write(f"[{self._since - self._start:4.0f} s] {doing}\n")

    def __enter__(self) -> Self:
        if self._live:
            self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._live:
            self._ticker.join()
        with self._lock:
            self._finish("stopped" if error else "done")

    def _tick(self) -> None:
        while not self._end.wait(_TICK_S):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if self._doing:
            self._write(f"\r\x1b[K  {self._doing} … {time.monotonic() - self._since:.0f} s")

    def _finish(self, how: str = "done") -> None:
        if self._doing and self._live:
            took = time.monotonic() - self._since
            self._write(f"\r\x1b[K  {self._doing}: {how}, {took:.0f} s\n")
        self._doing = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
