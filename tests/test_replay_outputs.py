"""What `replay` and `diff` write is what their schemas say, and reads back in every format."""

import csv
import json
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from stream.analysis.schema import OUTPUTS, schema
from stream.cli import main

CAPTURES = Path(__file__).parent / "captures"
NAMES = sorted(folder.name for folder in CAPTURES.iterdir() if folder.is_dir())


def raw(name):
    return str(next((CAPTURES / name).glob("raw.jsonl*")))


@cache
def validator(output):
    return Draft202012Validator(schema(output))


def errors(output, instance):
    return [error.message for error in validator(output).iter_errors(instance)]


@pytest.fixture(params=NAMES)
def capture(request):
    return raw(request.param)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_schema_is_one_and_says_what_fields_mean(output, capsys):
    command = "diff" if output == "diff" else "replay"
    assert main([command, "--schema", output]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(printed)
    described = [
        field
        for definition in printed["$defs"].values()
        for field in definition.get("properties", {}).values()
        if "description" in field
    ]
    assert described


def test_what_is_written_of_a_capture_is_as_its_schema_says(capture, tmp_path):
    files = {name: tmp_path / f"{name}.jsonl" for name in ("tasks", "attempts", "workers")}
    report = tmp_path / "report.json"
    arguments = [text for name, file in files.items() for text in (f"--{name}", str(file))]
    assert main(["replay", capture, "--json", str(report), *arguments]) == 0
    assert errors("report", json.loads(report.read_bytes())) == []
    for name, file in files.items():
        for line in file.read_bytes().splitlines():
            assert errors(name, json.loads(line)) == []


def test_a_schema_refuses_what_is_something_else(tmp_path):
    report = tmp_path / "report.json"
    assert main(["replay", raw(NAMES[0]), "--json", str(report)]) == 0
    written = json.loads(report.read_bytes())
    assert errors("report", written | {"coverage": None})
    assert errors("tasks", written)


def test_a_comparison_is_as_its_schema_says(tmp_path):
    written = tmp_path / "diff.json"
    before, after = (raw(f"redis-5.7.0-core-{pool}") for pool in ("solo", "prefork"))
    assert main(["diff", before, after, "--json", str(written)]) == 0
    comparison = json.loads(written.read_bytes())
    assert errors("diff", comparison) == []
    assert comparison["shifts"]
    assert comparison["new_failures"]


@pytest.mark.parametrize("records", ["tasks", "attempts", "workers"])
def test_every_format_tells_the_same(records, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `analysis` is not installed")
    for suffix in ("jsonl", "csv", "parquet"):
        target = str(tmp_path / f"records.{suffix}")
        assert main(["replay", raw("redis-5.7.0-core-prefork"), f"--{records}", target]) == 0
    lines = [json.loads(x) for x in (tmp_path / "records.jsonl").read_bytes().splitlines()]
    assert lines
    assert parquet.read_table(tmp_path / "records.parquet").to_pylist() == lines
    with (tmp_path / "records.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {name: "" if value is None else str(value) for name, value in line.items()}
        for line in lines
    ]
