"""The reference tables are what the code has, one row for each."""

import subprocess
import sys

import pytest

from stream.config import Settings
from stream.declaration import SETTINGS
from stream.reference import metrics, records, renewed, settings, spans
from stream.sinks.instruments import TABLE
from stream.sinks.record_table import FIELDS, RECORDS
from stream.sinks.span_table import SPANS
from tests.servers import ROOT

DOCUMENT = "before\n<!-- metrics -->\nstale\n<!-- /metrics -->\nafter\n"


def rows(table):
    """The rows of a table below its head, as lists of cells."""
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def tables(render):
    """The tables of one place, which blank lines divide."""
    return render().split("\n\n")


@pytest.mark.parametrize("render", [settings, metrics, spans, records])
def test_every_line_of_a_table_has_as_many_cells_as_its_head(render):
    for table in tables(render):
        lines = table.splitlines()
        cells = {line.replace("\\|", "").count("|") for line in lines}
        assert len(cells) == 1
        assert all(line.startswith("| ") and line.endswith(" |") for line in lines)


def test_every_metric_has_one_row():
    assert [row[0].strip("` ") for row in rows(metrics())] == [each.name for each in TABLE]


def test_every_span_has_one_row_and_every_attribute_its_meaning():
    kinds, attributes = map(rows, tables(spans))
    assert [row[0].strip("` ") for row in kinds] == [each.name for each in SPANS]
    found = {(row[0].strip("` "), name, row[2]) for row in attributes for name in row[1].split()}
    assert found == {
        (attribute, f"`{each.name.split()[0]}`", meaning)
        for each in SPANS
        for attribute, meaning in each.attributes
    }


def test_every_record_has_one_row_and_every_attribute_its_meaning():
    kinds, attributes = map(rows, tables(records))
    assert [(row[0].strip("` "), row[1], row[2]) for row in kinds] == [
        (each.name, each.severity.name, each.when) for each in RECORDS
    ]
    assert [set(row[3].replace("`", "").split()) for row in kinds] == [
        set(each.fields) for each in RECORDS
    ]
    assert {row[0].strip("` "): row[1] for row in attributes} == FIELDS


def test_every_setting_has_one_row_with_its_variables():
    found = {row[0].strip("` "): row[1] for row in rows(settings())}
    assert list(found) == [setting.key for setting in SETTINGS]
    assert all(f"`{setting.variable}`" in found[setting.key] for setting in SETTINGS)


def test_a_default_is_written_as_in_the_file():
    found = {row[0].strip("` "): row[2] for row in rows(settings())}
    assert found["broker"] == f'`"{Settings().broker}"`'
    assert found["records"] == "`true`"
    assert found["otlp.endpoint"] == ""


def test_a_document_is_renewed_between_its_marks_only():
    assert renewed(DOCUMENT) == f"before\n<!-- metrics -->\n{metrics()}<!-- /metrics -->\nafter\n"


def test_a_document_that_is_new_stays_as_it_is():
    document = renewed(DOCUMENT + "<!-- settings -->\n<!-- /settings -->\n")
    assert renewed(document) == document


@pytest.mark.parametrize(
    "document", ["", "no marks", "<!-- metrics -->\n", "<!-- other -->\nx\n<!-- /other -->\n"]
)
def test_a_document_without_marks_stays_as_it_is(document):
    assert renewed(document) == document


def test_the_command_renews_files(tmp_path):
    files = [tmp_path / "one.md", tmp_path / "two.md"]
    for file in files:
        file.write_text(DOCUMENT)
    command = [sys.executable, "-m", "stream.reference", *files]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    assert [file.read_text() for file in files] == [renewed(DOCUMENT)] * 2
