"""The notebook of one's own pictures, run as a reader runs it, for a few images."""

import shlex
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from flows.config.file import read_run
from flows.step import finished
from flows.steps import STEPS
from stages.artifacts.reference import resolve
from stages.store import open_store

SMALL = (
    "train.processes=1 train.size=16 train.batch=32 train.unet.channels=[8] collect.workers=1 shard.workers=1"
)
NOTEBOOK = Path(__file__).parents[2] / "examples" / "own_folder.ipynb"


def test_it_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, cells: int | None = None) -> nbformat.NotebookNode:
    """The notebook's first cells, executed."""
    for name, value in {
        "SDFLOW_OWN_WORK": str(folder / "own"),
        "SDFLOW_OWN_IMAGES": "64",
        "SDFLOW_OWN_SET": SMALL,
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = notebook.cells[:cells]
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


@pytest.mark.slow
def test_without_a_folder_there_are_pictures_to_try_it_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SDFLOW_OWN_PICTURES", raising=False)
    run(tmp_path, monkeypatch, cells=3)
    assert len((tmp_path / "own/pictures/metadata.csv").read_text().splitlines()) == 1 + 60


@pytest.mark.slow
def test_it_trains_on_ones_own_folder_and_shows_curves_and_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "mine").mkdir()
    random = np.random.default_rng(0)
    for number in range(50):
        pixels = random.integers(0, 256, (5, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(tmp_path / f"mine/{number}.png")
        (tmp_path / f"mine/{number}.txt").write_text(f"noise number {number % 7}")
    monkeypatch.setenv("SDFLOW_OWN_PICTURES", str(tmp_path / "mine"))
    notebook = run(tmp_path, monkeypatch)

    outputs = {
        cell.id: [one for one in cell.outputs if one.output_type != "stream"]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    said = outputs["dataset"][0].data["text/markdown"]
    assert "pictures (median)" in said  # a set of 50 is small, and it says so
    assert ["image/png" in one.data for one in outputs["curve"]] == [True, True]
    assert "image/png" in outputs["generate"][-1].data
    errors = [
        one for cell in notebook.cells for one in cell.get("outputs", []) if one.get("name") == "stderr"
    ]
    assert errors == []

    store = open_store(str(tmp_path / "own" / "store"))
    model = resolve(store, "models/own")
    assert model.statistics["images"] == 64
    dataset = model.input("dataset")
    assert dataset is not None
    assert dataset.funnel.rows_out == 50

    # The command that it ends with is the same run: its training is found.
    words = shlex.split(notebook.cells[-1].outputs[0].text)
    assert words[:2] == ["sdflow", "run"]
    chosen = [after for word, after in pairwise(words) if word == "--set"]
    assert finished(STEPS, "train", read_run(Path(words[2]), chosen, words[4]), store).digest == model.digest
