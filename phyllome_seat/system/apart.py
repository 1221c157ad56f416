"""A call that may never return, awaited."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def apart(call: Callable[[], T]) -> T:
    """Return what `call` returns, or raise what it raises, whenever it does.

    In a thread of its own, that keeps neither the loop nor the program from ending, as one of
    asyncio's does.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(is_error: bool, what: Any) -> None:  # noqa: ANN401  what the call returned
        if not answer.done():  # who asked may have gone
            (answer.set_exception if is_error else answer.set_result)(what)

    def run() -> None:
        try:
            told: tuple[bool, Any] = (False, call())
        except BaseException as error:
            told = (True, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, *told)

    Thread(target=run, daemon=True).start()
    return await answer
