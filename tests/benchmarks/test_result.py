"""Results: what is computed of them, how they are kept, compared and told."""

import subprocess
import sys

import pytest
from msgspec import structs

from benchmarks.machine import machine
from benchmarks.readme import BEGIN, END, readme, verdicts, write
from benchmarks.redis_to_metrics import METRICS, SPANS
from benchmarks.result import Curve, Point, Result, Results, Row, comparison, load, save, table
from tests.servers import ROOT

EXPORTER = "prometheus-exporter-celery 0.11.2"


def result(stage, *seconds, batch=24, items=1_000):
    return Result("redis_to_metrics", stage, "abc", batch, items, seconds)


@pytest.fixture
def found():
    return Results(
        machine(),
        (result(METRICS, 0.01, 0.02, 0.01), result(SPANS, 0.04), result(EXPORTER, 0.1, 0.2, 0.4)),
        (
            Row("Memory of a task", "≤ 700 bytes", "545 bytes", reached=True, value=545.0),
            Row("Lag", "≤ 20 ms", "25 ms", reached=False, value=25.0),
        ),
        (Curve("tasks in flight", (Point(1_000, 250_000, 560), Point(10_000, 200_000, 550))),),
    )


def test_a_rate_is_the_median_of_the_rounds():
    assert result("a", 1.0, 0.5, 8.0).rate == 1_000.0


def test_a_ratio_is_the_median_of_the_ratios_of_the_same_rounds():
    """A round in which the machine was slow for all says as much as any other."""
    ours, theirs = result("ours", 1.0, 5.0, 2.0), result("theirs", 10.0, 50.0, 40.0)
    assert ours.ratio_to(theirs) == 10.0


def test_a_ratio_to_fewer_rounds_is_of_those_that_both_have():
    assert result("ours", 1.0, 1.0, 9.0).ratio_to(result("theirs", 4.0, 4.0)) == 4.0


def test_results_are_read_as_they_were_written(tmp_path, found):
    save(tmp_path / "new" / "results.json", found)
    assert load(tmp_path / "new" / "results.json") == found


def test_what_is_no_file_of_results_is_refused(tmp_path):
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(SystemExit, match="cannot be read as results"):
        load(tmp_path / "other.json")


def test_two_files_are_compared_stage_by_stage(tmp_path, found):
    faster = (result(METRICS, 0.005), *found.results[1:])
    save(tmp_path / "a.json", found)
    save(tmp_path / "b.json", structs.replace(found, results=faster))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "compare", tmp_path / "a.json", tmp_path / "b.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if METRICS in line and "span" not in line)
    assert "100,000 ->     200,000 events/CPU s +100.0%" in line
    assert "545 bytes -> 545 bytes" in done.stdout


def test_another_workload_is_named_in_a_comparison(found):
    other = structs.replace(found.results[0], workload="def")
    told = comparison(found, structs.replace(found, results=(other,)))
    assert "(another workload)" in told


def test_a_table_sets_each_stage_against_the_last():
    told = table([result("ours", 0.1), result("theirs", 1.0)])
    assert "10.00 x" in told.splitlines()[0]


def test_the_readme_has_peers_with_our_ratio_to_them_and_every_row(found):
    told = readme(found)
    assert f"| {METRICS} | 100,000 |  |" in told
    assert f"| {EXPORTER} | 5,000 (ours: 10.0 times) |  |" in told
    assert "| Memory of a task | ≤ 700 bytes | 545 bytes | yes |" in told
    assert "| Lag | ≤ 20 ms | 25 ms | no |" in told
    assert found.machine.cpu in told
    assert found.machine.date in told


def test_the_readme_is_written_between_its_marks_only(tmp_path, found):
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}old\n{END}\nafter\n")
    write(found, file)
    assert file.read_text() == f"before\n{BEGIN}{readme(found)}\n{END}\nafter\n"


def test_a_readme_without_marks_is_left_alone(tmp_path, found):
    file = tmp_path / "README.md"
    file.write_text("nothing\n")
    with pytest.raises(SystemExit, match="no place"):
        write(found, file)
    assert file.read_text() == "nothing\n"


def test_verdicts_say_what_was_missed(found):
    assert verdicts(found.rows).splitlines() == [
        "reached  Memory of a task: 545 bytes, bar ≤ 700 bytes",
        "MISSED   Lag: 25 ms, bar ≤ 20 ms",
    ]


def test_a_plot_is_drawn_and_is_the_same_each_time(tmp_path, found):
    save(tmp_path / "results.json", found)
    drawn = []
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-m", "benchmarks", "plot", tmp_path / "results.json"],
            cwd=ROOT,
            check=True,
        )
        drawn.append((tmp_path / "results.svg").read_text())
    assert drawn[0] == drawn[1]
    assert "<svg" in drawn[0]
