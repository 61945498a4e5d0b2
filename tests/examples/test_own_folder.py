"""The notebook of one's own pictures, run as a reader runs it, for a few images."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from stages.reference import resolve
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


@pytest.mark.slow
def test_it_trains_and_shows_curves_and_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SDFLOW_OWN_PICTURES", raising=False)
    for name, value in {
        "SDFLOW_OWN_WORK": str(tmp_path / "own"),
        "SDFLOW_OWN_IMAGES": "64",
        "SDFLOW_OWN_SET": SMALL,
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()

    outputs = {
        cell.id: [one for one in cell.outputs if one.output_type != "stream"]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    said = outputs["dataset"][0].data["text/markdown"]
    assert "pictures (median)" in said  # a set of 60 is small, and it says so
    assert ["image/png" in one.data for one in outputs["curve"]] == [True, True]
    assert "image/png" in outputs["generate"][-1].data
    errors = [
        one for cell in notebook.cells for one in cell.get("outputs", []) if one.get("name") == "stderr"
    ]
    assert errors == []

    model = resolve(open_store(str(tmp_path / "own" / "store")), "models/own")
    assert model.statistics["images"] == 64
    dataset = model.input("dataset")
    assert dataset is not None
    assert dataset.funnel.rows_out == 60
