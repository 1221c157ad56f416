"""What the documents say of the command is what the command does."""

import argparse
from pathlib import Path

import pytest

from phyllome_seat import cli

ROOT = Path(__file__).parents[1]


def commands():
    (sub,) = (
        action
        for action in cli._parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return sub.choices


@pytest.mark.parametrize("name", commands())
def test_every_command_has_its_line_in_the_man_page(name):
    page = (ROOT / "docs/man/phyllome-seat.1").read_text()

    assert f".It Cm {name}" in page


@pytest.mark.parametrize("name", sorted(set(commands()) - {"lab"}))
def test_every_option_stands_in_the_man_page(name):
    page = (ROOT / "docs/man/phyllome-seat.1").read_text()
    entry = page.split(f".It Cm {name}", 1)[1].split(".It Cm", 1)[0]

    for action in commands()[name]._actions:
        for option in action.option_strings[:1]:
            if option != "-h":
                assert f"Fl {option.removeprefix('-')}" in entry, option


def test_every_command_but_confirm_and_lab_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()

    for name in commands():
        assert f"phyllome-seat {name}" in readme, name
