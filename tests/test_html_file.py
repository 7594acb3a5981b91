"""The page that `replay --html` writes, as a file."""

from stream.cli import main
from tests.servers import ROOT

CAPTURE = ROOT / "tests" / "captures" / "redis-5.7.0-core-prefork" / "raw.jsonl.gz"


def test_the_same_file_gives_the_same_bytes(tmp_path):
    one, two = tmp_path / "one.html", tmp_path / "two.html"
    for target in (one, two):
        assert main(["replay", str(CAPTURE), "--html", str(target)]) == 0
    assert one.read_bytes() == two.read_bytes()


def test_standard_input_can_be_drawn(tmp_path, monkeypatch):
    from_file, from_input = tmp_path / "file.html", tmp_path / "input.html"
    assert main(["replay", str(CAPTURE), "--html", str(from_file)]) == 0
    with CAPTURE.open("rb") as given:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": given})())
        assert main(["replay", "-", "--html", str(from_input)]) == 0
    assert from_input.read_bytes() == from_file.read_bytes()
