"""What the documents say of the command is what the command does."""

from pathlib import Path

import pytest

from phyllome_seat import cli
from phyllome_seat.cli.parser import command_parser

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_its_line_in_the_man_page(name):
    page = (ROOT / "docs/man/phyllome-seat.1").read_text()

    assert f".It Cm {name}" in page


@pytest.mark.parametrize("name", sorted(set(cli.COMMANDS) - {"lab"}))
def test_every_option_stands_in_the_man_page(name):
    page = (ROOT / "docs/man/phyllome-seat.1").read_text()
    entry = page.split(f".It Cm {name}", 1)[1].split(".It Cm", 1)[0]

    for action in command_parser(name)._actions:
        for option in action.option_strings[:1]:
            if option != "-h":
                assert f"Fl {option.removeprefix('-')}" in entry, option


def test_every_command_but_confirm_and_lab_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()

    for name in cli.COMMANDS:
        assert f"phyllome-seat {name}" in readme, name


def test_the_rules_we_show_are_the_rules_we_write():
    written = (ROOT / "tests/model/golden/72-phyllome-seat.rules").read_text()

    assert (ROOT / "udev/72-phyllome-seat.rules.example").read_text() == written
