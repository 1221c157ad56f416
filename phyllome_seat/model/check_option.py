"""Where options of kernel modules are set: lines of modprobe.d, the kernel's command line.

Sources: modprobe.d(5); initramfs-tools(7), whose list of modules takes options too; modprobe(8),
which adds those of the command line last. To all of them a module's hyphens are underscores.
"""

from __future__ import annotations

from phyllome_seat.model.check_fix import argument_fix, line_fix
from phyllome_seat.model.platform import Platform, Setting
from phyllome_seat.model.value import dataclass

_LISTS = ("/etc/modules", "/etc/initramfs-tools/modules")  # of modules, with options on their lines


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a module; without a ``line`` it stands on the kernel's command line."""

    module: str  # "vfio_pci", with underscores
    name: str
    value: str
    word: str  # as it is written
    line: Setting | None = None

    @property
    def is_true(self) -> bool:
        """Whether the kernel takes it for yes, which looks at no more: lib/kstrtox.c, kstrtobool().

        "t" is refused by older kernels, and meant alike.
        """
        value = self.value.lower()
        return value[:1] in ("1", "y", "t") or value[:2] == "on"

    @property
    def evidence(self) -> str:
        """Return where it stands and what stands there."""
        if self.line is None:
            return f"/proc/cmdline: {self.word}"
        return f"{self.line.file}:{self.line.line}: {self.line.text}"


def find_options(platform: Platform) -> tuple[Option, ...]:
    """Return all options that are set, in the order in which modprobe hands them on."""
    found = []
    for line in platform.settings:
        module, words = _split(line)
        found += [_parse(module, word, line) for word in words]
    for word in platform.cmdline.split():
        module, dot, option = word.partition(".")
        if dot and "=" not in module:
            found.append(_parse(module, option, None, word))
    return tuple(found)


def _split(line: Setting) -> tuple[str, list[str]]:
    """Return a line's module and what it sets for it."""
    words = line.text.split()
    if words[:1] == ["options"]:
        return "".join(words[1:2]), words[2:]
    return ("".join(words[:1]), words[1:]) if line.file in _LISTS else ("", [])


def _parse(module: str, text: str, line: Setting | None, word: str = "") -> Option:
    """Return an option; one without a value is set to 1: kernel/params.c, param_set_bool()."""
    name, equals, value = text.partition("=")
    names = (module.replace("-", "_"), name.replace("-", "_"))
    return Option(*names, value.strip('"') if equals else "1", word or text, line)


def find_last(platform: Platform, module: str, name: str) -> Option | None:
    """Return the option that counts, which is the last.

    Of a module that is built in modprobe hands none on, and of /etc/modules systemd takes no more
    than names: systemd-modules-load(8).
    """
    found = [
        option
        for option in find_options(platform)
        if (option.module, option.name) == (module, name)
        and (
            option.line is None
            or (module not in platform.builtin and option.line.file != "/etc/modules")
        )
    ]
    return found[-1] if found else None


def option_fix(platform: Platform, option: Option) -> str:
    """Return how an option is taken out, with its line where nothing else is set there."""
    if option.line is None:
        return argument_fix(platform, remove=option.word)
    words = option.line.text.split()
    is_alone = words[0] == "options" and len(words) == 3
    return line_fix(platform, option.line, "" if is_alone else option.word)
