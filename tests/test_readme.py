"""The README says what the code does."""

import re
import shlex
from pathlib import Path

import pytest

from stream.cli import main
from stream.reference import TABLES, renewed
from tests.servers import ROOT

README = (Path(__file__).parent.parent / "README.md").read_text()
INCIDENT = README.partition("### Analyse an incident\n")[2].partition("\n## ")[0]
STEPS = re.findall(r"```sh\n(celery-stream .*)\n```(?:\n\n```\n([^`]*)```)?", INCIDENT)


def test_its_tables_are_those_of_the_code():
    """Renew them with: python -m stream.reference README.md."""
    assert all(f"<!-- {name} -->" in README for name in TABLES)
    assert renewed(README) == README


def test_its_links_within_lead_somewhere():
    heads = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= heads


@pytest.mark.parametrize(("command", "excerpt"), STEPS)
def test_a_step_of_its_incident_prints_what_it_says(
    command, excerpt, tmp_path, monkeypatch, capsys
):
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(shlex.split(command)[1:]) == 0
    printed = iter(capsys.readouterr().out.splitlines())
    wanted = [line.strip() for line in excerpt.splitlines() if line != "…"]
    # In this order; one iterator, so that each line is looked for behind the one before.
    missing = [line for line in wanted if not any(line == each.strip(" │") for each in printed)]
    assert missing == []


def test_its_incident_has_steps():
    assert len(STEPS) == 4
