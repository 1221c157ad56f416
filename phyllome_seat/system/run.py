"""Programs: the other seam between this program and the machine."""

from __future__ import annotations

import os

from phyllome_seat.model.errors import ProgramError

_LAST_RESORT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DYING_S = 2.0


def run(argv: tuple[str, ...], *, timeout_s: float = 30.0, ok: tuple[int, ...] = (0,)) -> str:
    """Run a program and return its standard output.

    Its messages are in English, its input is empty, and it starts in ``/``. *errors*: ProgramError
    when there is no such program, when it does not end in `timeout_s` seconds, when a signal ends
    it, or when its exit status is not in `ok`.
    """
    import subprocess  # costs a start several milliseconds

    program = argv[0]
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=environment(),
            start_new_session=True,  # Ctrl-C is ours to answer, after the step
        )
    except FileNotFoundError:
        hint = f"install the package that has {program}"
        raise ProgramError(program, "is not installed", hint=hint) from None
    except OSError as error:
        raise ProgramError(program, f"cannot be run: {error.strerror}") from error
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        # One that the kernel holds does not die of it: it is left, not waited for.
        try:
            _, err = process.communicate(timeout=_DYING_S)
        except subprocess.TimeoutExpired:
            err = b""
        what = f"did not end in {timeout_s:g} s"
        raise ProgramError(_line(argv), what, output=_text(err)) from None
    if process.returncode in ok:
        return _text(out)
    raise ProgramError(_line(argv), _ending(process.returncode), output=_text(err) or _text(out))


def environment() -> dict[str, str]:
    """Return the environment programs get: where they are found, and English, unchanging words."""
    path = ":".join(part for part in (os.environ.get("PATH"), _LAST_RESORT) if part)
    return {"PATH": path, "LC_ALL": "C"}


def _ending(status: int) -> str:
    if status >= 0:
        return f"failed with status {status}"
    import signal

    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _line(argv: tuple[str, ...]) -> str:
    from shlex import join

    return join(argv)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "backslashreplace")
