"""The house rules that a machine can hold: who imports whom, and that a wheel is whole."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "phyllome_seat"
MODULES = sorted(PACKAGE.rglob("*.py"))
BELOW = {"model": {"model"}, "system": {"model", "system"}, "lab": {"model", "lab"}}
ONE_HOME = {
    "libvirt": "system/connection.py",
    "libvirtaio": None,  # not safe with calls from threads: `guests.run_events` says why
    "pydbus": "system/logind.py",
    "evdev": None,  # an event is one fixed struct: no binding is needed
    "pyudev": "system/udev_events.py",
}
IMPURE = {"os", "io", "pathlib", "subprocess", "socket", "time", "tempfile", "shutil", "glob"}


def imports(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_go_downwards_only(module):
    if room(module) not in BELOW:
        return
    for name in imports(module):
        if name.startswith("phyllome_seat."):
            assert name.split(".")[1] in BELOW[room(module)] | {"data"}, f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_a_binding_is_imported_in_one_module(module):
    for name in imports(module):
        home = ONE_HOME.get(name.split(".")[0], here := str(module.relative_to(PACKAGE)))
        assert home == here, f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted((PACKAGE / "model").glob("*.py")), ids=lambda m: m.name)
def test_the_model_touches_no_machine(module):
    assert not {name.split(".")[0] for name in imports(module)} & IMPURE


def test_only_the_commands_print_or_exit():
    for module in MODULES:
        if room(module) == "cli" or module.name == "cli.py":  # the lab has a command of its own
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "exit", "input"), f"{module}: {node.lineno}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The project's wheel, unpacked into a folder of its own, far from the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "lib", wheel], check=True)
    return folder / "lib"


def run(installed, *command):
    # -I keeps the clone off the path; the folder comes first, before an editable install
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); " + command[0]
    return subprocess.run(
        [sys.executable, "-I", "-c", code, *command[1:]],
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_installed_wheel_works_outside_the_clone(installed):
    code = "import phyllome_seat; print(phyllome_seat.__file__); "
    code += "from phyllome_seat.cli import main; sys.exit(main(['scan', '--json']))"

    done = run(installed, code)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))


def test_an_installed_wheel_carries_the_data_files(installed):
    code = "from importlib.resources import files; "
    code += "print(*[f.name for f in files('phyllome_seat.data.seats').iterdir()]); "
    code += "print(*[f.name for f in files('phyllome_seat.lab').joinpath('data').iterdir()])"

    done = run(installed, code)

    assert done.returncode == 0, done.stderr
    assert "seat-file.schema.json" in done.stdout
    assert "guest-font.txt" in done.stdout


def test_typed_callers_see_the_types(installed):
    assert (installed / "phyllome_seat" / "py.typed").exists()
