"""`sdflow cluster`: from an encoder and a dataset to a table of labels, filed under the dataset's name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flows.run.local import result_of
from flows.run.terminal import Terminal
from flows.steps import STEPS
from sdmodel.config.text import TextConfig
from sdmodel.text import build
from stages.artifacts.artifact import Funnel
from stages.artifacts.reference import refer, resolve
from stages.config.run import Run
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import open_store

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, tiny_run: Callable[[Path], Run]) -> str:
    """With datasets/tiny, whose captions name a colour, and models/words, which reads them untrained."""
    run = tiny_run(tmp_path_factory.mktemp("cluster") / "store")
    result_of(STEPS, "shard", run, Terminal(), upstream=True)

    @stage(version=1, kind="model", name="train")
    def untrained(config: TextConfig, out: Output) -> Stats:
        torch.manual_seed(0)
        learned = build.learn(config, ["a red green blue white square"] * 2)
        weights = {key: value.contiguous() for key, value in learned.state_dict().items()}
        learned.save(out.write("model/any").parent, weights)
        return Stats(Funnel(0, 0))

    opened = open_store(run.store)
    model = untrained(TextConfig(width=8, heads=1, tokens="words", length=8), store=opened)
    refer(opened, "models/words", model)
    return run.store


@pytest.fixture
def sdflow(sdflow: Told, store: str) -> Told:
    """Run a command on the store: status, standard output, standard error."""
    return lambda *arguments: sdflow(*arguments, "--store", store)


def test_it_is_filed_under_the_datasets_name(sdflow: Told, store: str):
    chosen = ("--clusters", "4", "--seeds", "2", "--json")
    status, out, error = sdflow("cluster", "models/words", "datasets/tiny@latest", *chosen)
    assert status == 0, error
    assert "filed under clusters/tiny" in error
    told = json.loads(out)
    made = resolve(open_store(store), "clusters/tiny")
    assert (made.fingerprint, made.kind, told["cached"]) == (told["fingerprint"], "clusters", False)
    assert told["config"] == {"clusters": 4, "seeds": 2}
    model, dataset = made.input("encoder"), made.input("dataset")
    assert model is not None
    assert dataset is not None
    assert (model.kind, dataset.kind) == ("model", "dataset")

    # Four colours, four clusters, and the words say which.
    index = dataset.table("index").merge(made.table("clusters"), on="uid")
    assert index.groupby("cluster")["captions"].agg(lambda one: len({*map(str, one)})).tolist() == [1] * 4
    assert {each[0] for each in told["statistics"]["words"]} == {"red", "green", "blue", "white"}

    assert json.loads(sdflow("cluster", "models/words", "datasets/tiny", *chosen, "--name", "other")[1])[
        "cached"
    ]
    assert resolve(open_store(store), "clusters/other@1").fingerprint == made.fingerprint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models/words", "datasets/tiny", "--clusters", "1"], ["clusters=1 must be at least 2"]),
        (["models/words", "datasets/tiny", "--device", "tpu"], ["'tpu'"]),
        (["datasets/tiny", "models/words", "--name", "x"], ["models/words is no dataset but model"]),
        (["models/words", "datasets/none"], ["datasets/none", "datasets/tiny"]),
        (["models/words", "datasets/tiny", "--column", "form"], ["no column 'form'"]),
    ],
)
def test_mistakes_are_one_line(sdflow: Told, arguments: list[str], words: list[str]):
    status, _, error = sdflow("cluster", *arguments)
    assert status == 2
    assert all(one in error for one in words), error


def test_a_fingerprint_needs_a_name(sdflow: Told, store: str):
    dataset = resolve(open_store(store), "datasets/tiny")
    status, _, error = sdflow("cluster", "models/words", dataset.fingerprint[:12])
    assert (status, "--name" in error) == (2, True)
