"""`propose` as a command: what it prints can be kept, and it writes over nothing."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from phyllome_seat import cli
from phyllome_seat.model.assign import assign
from phyllome_seat.model.host_json import render_host
from phyllome_seat.model.proposal import NoProposalError
from phyllome_seat.model.proposal_text import proposals_json, render_proposal
from phyllome_seat.model.propose import propose
from phyllome_seat.model.seat_file import parse_wish, render_wish
from tests.model.hosts import two_seat_pc
from tests.model.machines import machines


@pytest.fixture
def run(tmp_path, capsys):
    host = tmp_path / "host.json"
    host.write_text(render_host(two_seat_pc()))

    def run_line(*line):
        status = cli.main(["propose", "--host", str(host), *line])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_line


def test_what_is_printed_is_a_seat_file_that_fits(run):
    status, said, complaint = run()

    assert (status, complaint) == (0, "")
    assert assign(parse_wish(said), two_seat_pc()).seats
    assert "# Also possible, and why not first:" in said


def test_all_proposals_are_seat_files_one_after_the_other(run):
    _, said, _ = run("--all")

    texts = said.split("---\n")
    assert len(texts) > 1
    for text in texts:
        assert assign(parse_wish(text), two_seat_pc()).seats


def test_a_file_that_is_there_stays_as_it_is(run, tmp_path):
    file = tmp_path / "seats.yaml"

    first, _, _ = run("-o", str(file))
    text = file.read_text()
    second, said, complaint = run("-o", str(file), "--seats", "1")

    assert (first, second, said) == (0, 2, "")
    assert "is there already and stays as it is" in complaint
    assert file.read_text() == text
    assert parse_wish(text).seats


def test_the_same_as_json(run):
    _, said, _ = run("--json")

    found = json.loads(said)
    assert found["phyllome_seat_proposals"] == 1
    assert [seat["seat"] for seat in found["proposals"][0]["seats"]] == ["left", "right"]


def test_what_does_not_fit_has_status_1_and_says_what_would(run):
    status, said, complaint = run("--seats", "5")

    assert (status, said) == (1, "")
    assert "what would make it fit:" in complaint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("--seat", "Left"), "is no seat's name"),
        (("--seat", "left:gup=1"), "did you mean gpu?"),
        (("--seat", "left:gpu=0000:00:14.0"), "is no card; here are 0000:00:02.0"),
        (("--seat", "left:gpu=x"), "is not a PCI address"),
        (("--seat", "left:monitor=9"), "is no monitor here; there are: 1 LG"),
        (("--seat", "left:keyboard=0000:01:00.0/usb2/1"), "is no USB controller"),
        (("--seat", "left:cpus=many"), "is not a number"),
        (("--seat", "left:disk=4"), "is not a size"),
        (("--seat", "left", "--seat", "right", "--seats", "1"), "2 at least"),
        (("--host-memory", "4"), "is not a size like 4GiB"),
    ],
)
def test_a_wrong_line_has_status_2(run, line, words):
    status, said, complaint = run(*line)

    assert (status, said) == (2, "")
    assert words in complaint


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(machines(min_cards=1))
def test_no_name_of_a_device_gets_out_of_its_comment(host):
    try:
        proposals = propose(host)
    except NoProposalError as error:
        assert str(error).replace("\n", "").isprintable()
        return
    for number, proposal in enumerate(proposals):
        text = render_proposal(proposals, number)
        assert text.replace("\n", "").isprintable()
        assert render_wish(parse_wish(text)) == render_wish(proposal.wish)
    assert json.loads(json.dumps(proposals_json(proposals)))
