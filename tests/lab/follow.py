"""Do in a PC exactly what a fix of `check` says, step by step; a step that says less is an error.

Steps are parted by "; ", as `phyllome_seat.model.check_fix` writes them.
"""

from __future__ import annotations

import re

_OUT = re.compile(r"take (\S+) out of line (\d+) of (\S+)(?: \(\w+\))?")
_DELETE = re.compile(r"delete line (\d+) of (\S+)")
_ADD = re.compile(r"add (.+) to line (\d+) of (\S+)(?: \(\w+\))?")
_LIST = re.compile(r"add (\S+) after the \[ of line (\d+) of (\S+)")


def follow(pc, fix):
    """Do it; return whether it ends in a reboot, which is the caller's to do."""
    for step in fix.split("; "):
        if step == "reboot":
            return True
        _step(pc, step)
    return False


def _step(pc, step):
    if step.startswith("sudo "):  # who tests is root already
        pc.run(step.removeprefix("sudo "), timeout_s=300)  # an initramfs takes minutes
    elif step.startswith("echo "):
        pc.run(step.replace("sudo ", ""))
    elif found := _DELETE.fullmatch(step):
        _edit(pc, found[2], int(found[1]), lambda _: None)
    elif found := _OUT.fullmatch(step):
        _edit(pc, found[3], int(found[2]), lambda line: line.replace(found[1], "", 1))
    elif found := _ADD.fullmatch(step):
        _edit(pc, found[3], int(found[2]), lambda line: _with(line, found[1]))
    elif found := _LIST.fullmatch(step):
        _edit(pc, found[3], int(found[2]), lambda line: line.replace("[", f"[ {found[1]}", 1))
    else:
        raise AssertionError(f"nobody can do just this: {step}")


def _edit(pc, path, number, change):
    lines = pc.get(path).decode().split("\n")
    changed = change(lines[number - 1])
    assert changed != lines[number - 1], f"line {number} of {path} is another: {lines[number - 1]}"
    lines[number - 1 : number] = [] if changed is None else [changed]
    pc.put(path, "\n".join(lines))


def _with(line, words):
    """Return a line with words more, within its quotes where it has some."""
    return f'{line[:-1]} {words}"' if line.endswith('"') else f"{line} {words}"
