"""`sdflow diff`, `sdflow coverage`, and what a finished collection says of both, on tables made by hand."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cyclopts import App
from PIL import Image

from flows.cli.data.coverage import coverage
from flows.cli.data.diff import diff
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.collect.report import coverage as counting
from stages.collect.report.diff import diff as compare
from stages.report.coverage import coverage_chart, coverage_markdown
from stages.report.diff import markdown_diff
from stages.store import open_store
from tests.stages.versions import collection, dataset, image, reject, write

Told = Callable[..., str]
NEW = [image("kept"), image("fresh", licence="CC0|x")]


@pytest.fixture
def store(tmp_path: Path) -> str:
    """images/birds@1 and @2, datasets/birds of the second."""
    url = str(tmp_path / "store")
    opened = open_store(url)
    old = collection(opened, [image("kept"), image("gone")])
    refused = [reject("gone", "opted_out")]
    evidence = {
        "evidence/diff.json": compare(old, collection(opened, NEW, refused)).to_json(),
        "evidence/coverage.json": json.dumps(counting.coverage([write(tmp_path / "images.parquet", NEW)])),
    }
    new = collection(opened, NEW, refused, evidence)
    for name, artifact in (
        ("images/birds", old),
        ("images/birds", new),
        ("datasets/birds", dataset(opened, new, ["kept"])),
    ):
        refer(opened, name, artifact)
    return url


@pytest.fixture
def sdflow(capsys: pytest.CaptureFixture[str], store: str) -> Told:
    """Run a command on that store: what it prints."""
    app = App(result_action="return_value")
    app.command(diff)
    app.command(coverage)

    def run(*arguments: str) -> str:
        app([*arguments, "--store", store], exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return run


def newest(store: str) -> Artifact:
    from stages.artifacts.reference import resolve

    return resolve(open_store(store), "images/birds")


def test_diff_tells_what_was_added_and_removed_and_why(sdflow: Told):
    lines = [line.split() for line in sdflow("diff", "images/birds@1", "images/birds").splitlines()]
    assert ["1", "same", "bytes"] in lines
    assert ["1", "added"] in lines
    assert ["1", "before:", "new_row"] in lines
    assert ["1", "now:", "opted_out"] in lines
    assert any(line[:2] == ["removed", "(opted_out)"] and "gone.jpg" in line[-1] for line in lines)


def test_diff_as_data(sdflow: Told):
    told = json.loads(sdflow("diff", "images/birds@1", "images/birds@2", "--json"))
    del told["examples"]
    assert told == {
        "added": 1,
        "added_after": {"new_row": 1},
        "same_bytes": 1,
        "captions_changed": 0,
        "changed": 0,
        "removed": {"opted_out": 1},
    }


def test_diff_writes_every_row_that_differs(sdflow: Told, tmp_path: Path):
    rows = [tmp_path / "rows.csv", tmp_path / "rows.parquet"]
    for path in rows:
        sdflow("diff", "images/birds@1", "images/birds", "--rows", str(path))
    table = pq.read_table(rows[1])
    assert sorted(table["change"].to_pylist()) == ["added", "removed"]
    assert len(rows[0].read_text().splitlines()) == 3
    with pytest.raises(ValueError, match=r"rows\.txt is neither \.csv nor \.parquet"):
        sdflow("diff", "images/birds@1", "images/birds", "--rows", str(tmp_path / "rows.txt"))


def test_diff_of_different_things_is_refused(sdflow: Told):
    with pytest.raises(ValueError, match="are of different stages"):
        sdflow("diff", "images/birds", "datasets/birds")


def test_a_collection_tells_what_it_changed(store: str):
    lines = markdown_diff(newest(store))
    assert "| added | 1 |" in lines
    assert "| now: opted_out | 1 |" in lines
    assert any("gone.jpg" in line for line in lines)
    first = newest(store).store
    assert markdown_diff(collection(first, NEW)) == []


def test_coverage_of_a_collection_and_of_a_dataset(sdflow: Told, tmp_path: Path):
    text = sdflow("coverage", "images/birds", "--chart", str(tmp_path / "chart.png"))
    assert "What the 2 pictures represent" in text
    assert "Hosts: 1, of which 1 hold half of the pictures" in text
    assert r"| CC0\|x | 1 | 50.0% |" in text
    with Image.open(tmp_path / "chart.png") as chart:
        assert chart.width > 500
    assert json.loads(sdflow("coverage", "datasets/birds", "--json"))["images"] == 1
    with pytest.raises(ValueError, match="was collected by an earlier version"):
        sdflow("coverage", "images/birds@1")


def test_names_that_are_no_plain_words_are_drawn(tmp_path: Path):
    rows = [image("a", licence="$x_1^{$ 许可" + "y" * 100, location="nowhere"), image("b", [])]
    told = counting.coverage([write(tmp_path / "images.parquet", rows)])
    assert Image.open(io.BytesIO(coverage_chart(told))).format == "PNG"
    assert r"\$x_1^{\$" in coverage_markdown(told)


def test_hosts_beyond_the_shown_ones_are_one_sum(tmp_path: Path):
    rows = [image(str(number), location=f"http://h{number:02d}.example/a") for number in range(90)]
    text = coverage_markdown(counting.coverage([write(tmp_path / "images.parquet", rows)]))
    assert "| h08.example | 1 | 1.1% |\n| other hosts, or none | 81 | 90.0% |\n\n" in text


def test_an_empty_set_is_told_too(tmp_path: Path):
    told = counting.coverage([write(tmp_path / "images.parquet", [])])
    assert "What the 0 pictures represent" in coverage_markdown(told)
    assert coverage_chart(told).startswith(b"\x89PNG")
