"""The timer that gives the console back: armed before it goes, stopped by who sees all is well.

A transient timer of systemd's own manager, so that neither our end nor a lost session stops it.
Source: systemd-run(1).
"""

from __future__ import annotations

from phyllome_seat.model.errors import ReadBackError
from phyllome_seat.system.run import run

UNIT = "phyllome-seat-return"
_TIMER = f"{UNIT}.timer"

# systemctl(1), "Exit status": 3 is not running, 4 and 5 no such unit.
_NOT_THERE = (0, 3, 4, 5)


def arm(timeout_s: int) -> None:
    """Have everything reverted in `timeout_s` seconds; one that is armed already starts anew."""
    disarm()
    # one that has failed and is about to be tried again: `apply` has the lock it would wait for
    run(("systemctl", "stop", f"{UNIT}.service"), ok=_NOT_THERE)
    run(
        (
            "systemd-run",
            f"--unit={UNIT}",
            f"--on-active={timeout_s}s",
            "--timer-property=AccuracySec=1s",
            # whatever is in its way, a driver that does not let go or a lock, may be gone by then
            "--property=Restart=on-failure",
            "--property=RestartSec=10s",
            "--collect",  # so that a failed one is not in the way of the next
            "--description=phyllome-seat gives the console back",
            *_revert(),
        )
    )
    if not is_armed():
        raise ReadBackError(_TIMER, "active", "not active")


def confirm() -> bool:
    """Stop the timer: the seats stay. Return False where none was armed."""
    armed = is_armed()
    disarm()
    return armed


def disarm() -> None:
    """Stop the timer if there is one; a revert that it has started goes on."""
    run(("systemctl", "stop", _TIMER), ok=_NOT_THERE)
    if is_armed():
        raise ReadBackError(_TIMER, "stopped", "active")


def is_armed() -> bool:
    """Return whether the timer runs."""
    return run(("systemctl", "is-active", _TIMER), ok=_NOT_THERE).strip() == "active"


def _revert() -> tuple[str, ...]:
    """Return this very program's revert, wherever it is installed."""
    import os
    import sys

    import phyllome_seat

    home = os.path.dirname(os.path.dirname(os.path.abspath(phyllome_seat.__file__)))
    command = (sys.executable, "-m", "phyllome_seat.cli", "revert", "--unattended")
    return f"--setenv=PYTHONPATH={home}", "--", *command
