"""Small trees of files made from a dict: what a test says is there, and nothing else."""

from __future__ import annotations

from pathlib import Path

from phyllome_seat.system.sysfs import Sysfs


class Link(str):
    """The target of a symbolic link, absolute from the tree's root (``sys/devices/...``)."""

    __slots__ = ()


def make_tree(root: Path, files: dict[str, str | bytes | Link]) -> Sysfs:
    """Return the machine whose files these are, by path; links are made relative, as in sysfs."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            up = "../" * (len(Path(path).parts) - 1)
            file.symlink_to(up + content)
        elif isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content)
    return Sysfs(str(root))


def block(
    path: str, number: str, *, size: int = 2048, udev: str = "", slaves: tuple[str, ...] = ()
) -> dict[str, str | bytes | Link]:
    """Return the files of one block device whose folder is ``sys/devices/<path>``."""
    folder = f"sys/devices/{path}"
    name = folder.rpartition("/")[2]
    files: dict[str, str | bytes | Link] = {
        f"sys/class/block/{name}": Link(folder),
        f"{folder}/dev": number + "\n",
        f"{folder}/size": f"{size}\n",
        f"run/udev/data/b{number}": udev,
    }
    for slave in slaves:
        files[f"{folder}/slaves/{slave}"] = Link(f"sys/class/block/{slave}")
    return files


def mountinfo(*lines: str) -> dict[str, str | bytes | Link]:
    """Return the mount table from lines of ``number point filesystem source``."""
    text = ""
    for n, line in enumerate(lines):
        number, point, filesystem, source = line.split(" ")
        text += f"{n + 20} 1 {number} / {point} rw,relatime shared:1 - {filesystem} {source} rw\n"
    return {"proc/self/mountinfo": text}
