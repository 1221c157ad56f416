"""The lab's command, which reads its own line."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def lab(args: argparse.Namespace) -> int:
    """Run one command of the lab."""
    from phyllome_seat.lab.cli import main as lab_main

    return lab_main(args.rest)
