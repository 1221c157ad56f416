"""This project as a wheel, from the source tree it runs from or from what is installed."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from phyllome_seat.lab.errors import BuildError, LabError

_TREES = ("phyllome_seat", "seats", "udev")
_FILES = ("pyproject.toml", "README.md")


def wheel_key() -> str:
    """Returns a name for the code as it is now, without building anything."""
    digest = hashlib.sha256()
    for path, name in _sources():
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build_wheel(directory: Path) -> Path:
    """Returns a wheel of this project, made in ``directory``."""
    if _source_tree() is None:
        return _repack(directory)
    # setuptools leaves build/ and *.egg-info where it works: not in somebody's clone.
    with tempfile.TemporaryDirectory(prefix="phyllome-seat-") as scratch:
        for path, name in _sources():
            target = Path(scratch) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        argv = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(directory)]
        if importlib.util.find_spec("setuptools") and importlib.util.find_spec("wheel"):
            argv.append("--no-build-isolation")
        built = subprocess.run([*argv, scratch], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise BuildError("pip wheel", (built.stdout + built.stderr)[-4000:])
    return next(directory.glob("phyllome_seat-*.whl"))


def _source_tree() -> Path | None:
    root = Path(__file__).parents[2]
    return root if (root / "pyproject.toml").exists() else None


def _sources() -> Iterator[tuple[Path, str]]:
    """Yields each file that makes the project, with its name in the tree."""
    root = _source_tree()
    if root is None:
        yield from _installed()
        return
    for tree in _TREES:
        for path in sorted((root / tree).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, str(path.relative_to(root))
    yield from ((root / name, name) for name in _FILES if (root / name).exists())


def _installed() -> Iterator[tuple[Path, str]]:
    """Yields the installed distribution's files that a wheel holds (its RECORD)."""
    try:
        files = metadata.distribution("phyllome-seat").files or []
    except metadata.PackageNotFoundError:
        raise LabError(
            "phyllome-seat is neither installed nor run from its source tree",
            hint="run it from a clone, or `pip install` it",
        ) from None
    own = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    for file in sorted(files, key=str):
        outside = ".." in file.parts or file.suffix == ".pyc"
        if not outside and not (file.parent.suffix == ".dist-info" and file.name in own):
            yield Path(str(file.locate())), str(file)


def _repack(directory: Path) -> Path:
    """Returns a wheel of the installed files (binary distribution format, PyPA specification)."""
    version = metadata.version("phyllome-seat")
    wheel = directory / f"phyllome_seat-{version}-py3-none-any.whl"
    record = f"phyllome_seat-{version}.dist-info/RECORD"
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, name in _sources():
            content = path.read_bytes()
            archive.writestr(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            lines.append(f"{name},sha256={digest.decode()},{len(content)}")
            if name.endswith(".dist-info/METADATA"):
                record = name.replace("METADATA", "RECORD")
        archive.writestr(record, "\n".join([*lines, f"{record},,", ""]))
    return wheel
