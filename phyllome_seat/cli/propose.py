"""`propose`: whole seat files for this PC, the best first, and why the others are not."""

from __future__ import annotations

import sys

from phyllome_seat.cli.inputs import DONE, read_host
from phyllome_seat.cli.output import write_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from phyllome_seat.model.devices import Host
    from phyllome_seat.model.proposal import Proposal, ProposalWishes


# Nobody has as many; the search takes seconds from a few hundred on.
_MOST_SEATS = 64


def propose(args: argparse.Namespace) -> int:
    """Print proposals, or write the best to a file."""
    from phyllome_seat.model.proposal_text import proposals_json, render_proposal
    from phyllome_seat.model.propose import propose as find

    host = read_host(args, guests=True)
    proposals = find(host, _wishes(host, args))
    is_file = args.output not in (None, "-")
    if is_file:
        write_new(args.output, render_proposal(proposals))
    if args.json:
        import json

        json.dump(proposals_json(proposals), sys.stdout, indent=1)
        print()
    elif is_file:
        _print_written(args.output, proposals)
    else:
        shown = range(len(proposals)) if args.all else (0,)
        print("---\n".join(render_proposal(proposals, number) for number in shown), end="")
    return DONE


def _wishes(host: Host, args: argparse.Namespace) -> ProposalWishes:
    """Return what the command line asks for."""
    from phyllome_seat.model.proposal import ProposalWishes
    from phyllome_seat.model.proposal_line import SeatLineError, parse_seats, parse_size
    from phyllome_seat.model.seat_value import PATTERNS

    seats = parse_seats(host, tuple(args.seat))
    if args.seats is not None and args.seats < max(1, len(seats)):
        raise SeatLineError(f"--seats {args.seats}: {len(seats) or 1} at least")
    if args.seats is not None and args.seats > _MOST_SEATS:
        raise SeatLineError(f"--seats {args.seats}: {_MOST_SEATS} at most")
    if args.host_cpus is not None and args.host_cpus < 1:
        raise SeatLineError(f"--host-cpus {args.host_cpus}: 1 at least")
    memory = args.host_memory
    if memory is not None:
        import re

        if not re.fullmatch(PATTERNS["size"], memory):
            raise SeatLineError(f"--host-memory {memory!r} is not a size like 4GiB")
    return ProposalWishes(
        seats,
        count=args.seats,
        console=args.console,
        host_cpus=args.host_cpus,
        host_memory_bytes=parse_size(memory) if memory else None,
    )


def _print_written(path: str, proposals: tuple[Proposal, ...]) -> None:
    print(f"{path}: written; `phyllome-seat plan -f {path}` says what it does")
    if len(proposals) > 1:
        more = len(proposals) - 1
        print(f"{more} more proposal{'s' if more > 1 else ''}: `phyllome-seat propose --all`")
