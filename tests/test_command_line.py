"""The command line: what it takes, what it says no to, and how it is laid out."""

import pytest

from phyllome_seat import cli


def test_a_command_gets_the_options_before_and_after_its_name():
    args = cli.parse_line(
        ["--sysroot", "/x", "start", "left", "right", "-f", "a.yaml", "--wait", "3"]
    )

    assert (args.sysroot, args.file, args.seats, args.wait) == (
        "/x",
        "a.yaml",
        ["left", "right"],
        3.0,
    )
    assert args.run is cli.COMMANDS["start"][1]


def test_the_lab_reads_its_own_line():
    assert cli.parse_line(["lab", "run", "--help"]).rest == ["run", "--help"]


@pytest.mark.parametrize(
    "line", [[], ["scna"], ["scan", "--jsno"], ["scan", "--sysroot", "/x"], ["--sysroot"]]
)
def test_a_wrong_line_is_refused_with_status_2(line, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.parse_line(line)

    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("usage: phyllome-seat")


@pytest.mark.parametrize("columns", ["40", "200", "", "0", "wide"])
def test_help_names_every_command_at_any_width(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)

    with pytest.raises(SystemExit) as exit_:
        cli.parse_line(["--help"])

    lines = capsys.readouterr().out.splitlines()
    assert exit_.value.code == 0
    for name, (words, _, _) in cli.COMMANDS.items():
        assert f"  {name:10}{words}" in lines
