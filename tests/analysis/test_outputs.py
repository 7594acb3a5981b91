"""Records as CSV and Parquet."""

import csv
import sys

import msgspec
import pytest
from msgspec import Struct

from stream.analysis.outputs import check_writable, write_records
from stream.errors import RefusedError


class Row(Struct):
    name: str | None
    count: int
    seconds: float | None
    fine: bool


ROWS = [Row("a", 1, 0.5, True), Row('b, "quoted"\nü', 2, None, False), Row(None, 3, 0.0, True)]
LINES = [msgspec.json.encode(row) + b"\n" for row in ROWS]


def test_other_suffixes_are_json_lines(tmp_path):
    file = tmp_path / "rows.jsonl"
    write_records(str(file), LINES, of=Row)
    assert file.read_bytes() == b"".join(LINES)


def test_a_csv_file_has_a_header_and_nothing_for_none(tmp_path):
    file = tmp_path / "rows.csv"
    write_records(str(file), LINES, of=Row)
    with file.open(encoding="utf-8", newline="") as opened:
        assert list(csv.reader(opened)) == [
            ["name", "count", "seconds", "fine"],
            ["a", "1", "0.5", "True"],
            ['b, "quoted"\nü', "2", "", "False"],
            ["", "3", "0.0", "True"],
        ]


def test_a_parquet_file_keeps_types_and_none(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `analysis` is not installed")
    file = tmp_path / "rows.parquet"
    write_records(str(file), LINES, of=Row)
    table = parquet.read_table(file)
    assert [str(each) for each in table.schema.types] == ["string", "int64", "double", "bool"]
    assert table.to_pylist() == [msgspec.to_builtins(row) for row in ROWS]


def test_a_parquet_file_of_nothing_has_its_columns(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `analysis` is not installed")
    file = tmp_path / "rows.parquet"
    write_records(str(file), [], of=Row)
    assert parquet.read_table(file).column_names == ["name", "count", "seconds", "fine"]


def test_parquet_without_its_extra_is_a_sentence_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RefusedError, match=r"pip install 'celery-stream\[analysis\]'"):
        check_writable(str(tmp_path / "rows.parquet"))


def test_a_folder_cannot_be_written(tmp_path):
    with pytest.raises(RefusedError, match="it is a folder"):
        check_writable(str(tmp_path))
