"""`sdflow label`: from an image encoder and a dataset to a table of pseudo-labels."""

import json
from collections.abc import Callable

import pytest

from stages.artifacts.reference import refer, resolve
from stages.store import open_store
from tests.stages.coloured import coloured_dataset, untrained_encoder

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("label") / "store")
    opened = open_store(url)
    refer(opened, "datasets/plain", coloured_dataset(opened))
    refer(opened, "models/eyes", untrained_encoder(opened))
    return url


@pytest.fixture
def sdflow(sdflow: Told, store: str) -> Told:
    """Run a command on the store: status, standard output, standard error."""
    return lambda *arguments: sdflow(*arguments, "--store", store)


def test_labels_are_filed_under_the_dataset_and_the_column(sdflow: Told, store: str):
    chosen = ("--column", "colour", "--json")
    status, out, error = sdflow("label", "models/eyes", "datasets/plain@latest", *chosen)
    assert status == 0, error
    assert "filed under labels/plain-colour" in error
    manifest = json.loads(out)
    table = resolve(open_store(store), "labels/plain-colour")
    assert (table.fingerprint, table.kind) == (manifest["fingerprint"], "labels")
    assert (manifest["config"], manifest["statistics"]["accuracy"]) == ({"column": "colour"}, 1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["datasets/plain", "models/eyes", "--name", "x"], "models/eyes is no dataset but model"),
        (["models/eyes", "datasets/plain", "--column", "form"], "no column 'form'"),
    ],
)
def test_mistakes_are_one_line(sdflow: Told, arguments: list[str], words: str):
    column = () if "--column" in arguments else ("--column", "colour")
    status, _, error = sdflow("label", *arguments, *column)
    assert status == 2
    assert words in error
