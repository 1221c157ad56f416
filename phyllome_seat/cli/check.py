"""`check`: what stands between this PC and its seats, worst first, with the fix."""

from __future__ import annotations

import sys

from phyllome_seat.cli.inputs import DONE, MACHINE_SAYS_NO, read_host, read_wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from phyllome_seat.model.devices import Host


def check(args: argparse.Namespace) -> int:
    """Print the findings; status 1 where one is an error."""
    from phyllome_seat.model.check import check as find

    if args.report is not None:
        _report(args)
        return DONE
    wish = read_wish(args, missing_is_empty=True)
    findings = find(_read(args), wish)
    if args.json:
        import json

        from phyllome_seat.model.value import find_defaults

        keys = find_defaults(type(findings[0]))
        listed = [{key: getattr(finding, key) for key in keys} for finding in findings]
        json.dump({"phyllome_seat_check": 1, "findings": listed}, sys.stdout, indent=1)
        print()
    else:
        for finding in findings:
            print(finding)
    return MACHINE_SAYS_NO if findings[0].severity == "error" else DONE


def _report(args: argparse.Namespace) -> None:
    """Write the PC for others to read: nobody's name in it, and a plan can be made for it."""
    from phyllome_seat.cli.output import write_new
    from phyllome_seat.model.host_json import render_host
    from phyllome_seat.model.redact import redact

    text = render_host(redact(_read(args)))
    if args.report == "-":
        sys.stdout.write(text)
    else:
        write_new(args.report, text)
        print(f"{args.report}: written; look it through before you post it")


def _read(args: argparse.Namespace) -> Host:
    """Return the PC, with its platform where it is not from a file."""
    host = read_host(args, guests=True)
    if args.host is not None:
        return host
    from phyllome_seat.model.value import replace
    from phyllome_seat.system.scan_platform import read_platform
    from phyllome_seat.system.sysfs import Sysfs

    return replace(host, platform=read_platform(Sysfs(args.sysroot), host.pci))
