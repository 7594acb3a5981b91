"""The README says what the code does."""

import re
from pathlib import Path

from stream.reference import TABLES, renewed

README = (Path(__file__).parent.parent / "README.md").read_text()


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
