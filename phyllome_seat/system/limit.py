"""A call that may never return, given a limit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NoReturn, TypeVar

from phyllome_seat.model.errors import ApplyError

T = TypeVar("T")


class NoAnswerError(ApplyError):
    """A program that was asked and did not answer in time."""

    def __init__(self, who: str, what: str, limit_s: float, *, hint: str = "") -> None:
        super().__init__(f"{who} did not answer within {limit_s:g} s: {what}", hint=hint)
        self.limit_s = limit_s


def within(limit_s: float, who: str, what: str, call: Callable[[], T], *, hint: str = "") -> T:
    """Return what `call` returns, or raise what it raises; NoAnswerError after `limit_s`.

    An error that is raised keeps nothing alive once it is forgotten: a frame that had it would be
    in its own traceback, and with it all that `call` works on, until garbage is collected.

    A blocking call into a C library cannot be interrupted. At the limit its thread is left behind:
    it keeps what it works on alive, and does not keep the program from ending.
    """
    answers: SimpleQueue[Callable[[], T]] = SimpleQueue()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:
            answers.put(partial(_raise, error))
        else:
            answers.put(lambda: result)

    Thread(target=run, daemon=True).start()
    try:
        answer = answers.get(timeout=limit_s)
    except Empty:
        raise NoAnswerError(who, what, limit_s, hint=hint) from None
    try:
        return answer()
    finally:
        del answer


def _raise(error: BaseException) -> NoReturn:
    try:
        raise error
    finally:
        del error
