"""A whole comparison, small: each step is done once, whoever asks again finds it."""

from pathlib import Path
from typing import Any

import pytest

from flows.compare.cases import Comparison
from flows.compare.figures import rows
from flows.compare.page import write_page
from flows.run.execute import run_flow
from flows.run.terminal import Terminal
from stages.artifacts.reference import resolve
from stages.demo.pairs import clean_folder
from stages.store import open_store

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.matrix]


def test_it_is_done_once_and_found_again(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from flows.compare.flow import compare_text

    comparison = Comparison(
        store=str(tmp_path / "store"),
        pictures=str(clean_folder(tmp_path / "two", 150, 5, (40, 48), world="two")),
        kinds=("fasttext",),
        seeds=1,
        seconds=0.3,
        measuring=0.5,
        pretrain_images=128,
        samples=8,
    )

    def compared() -> list[Any]:
        return run_flow(lambda: compare_text(comparison, return_state=True), Terminal())

    first = compared()
    told = capsys.readouterr().err
    assert [case.mode for case in first] == ["pretrained", "frozen", "joint", "random"]
    assert "fasttext joint 0 train" in told
    assert "4/4  fasttext random 0" in told

    store = open_store(comparison.store)
    pretrained = resolve(store, "models/text-fasttext-pretrained-0")
    for mode in ("frozen", "joint", "random"):
        begun = resolve(store, f"models/text-fasttext-{mode}-0").manifest.inputs.get("texts.0")
        assert (begun and begun["fingerprint"]) == (None if mode == "random" else pretrained.fingerprint)

    before = sorted(one.key for one in store.list("manifests"))
    assert compared() == first
    assert sorted(one.key for one in store.list("manifests")) == before
    again = capsys.readouterr().err
    assert again.count(", cached") == again.count(" rows")

    page = tmp_path / "page.md"
    write_page(page, rows(first), comparison, {"all": 0.168})
    assert "| fasttext | " in page.read_text()
