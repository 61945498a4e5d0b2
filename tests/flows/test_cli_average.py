"""`sdflow average`: from a model that kept its averages to another one, under a name of its own."""

import json
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import save_file

from flows.cli import main
from stages.artifact import Artifact, Funnel
from stages.config import ShardConfig
from stages.output import Output
from stages.reference import refer, references, resolve
from stages.stage import Stats, stage
from stages.store import Store, open_store

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Of a model with one weight, after 100 and 200 images."""

    @stage(version=1, kind="model", name="train")
    def trained(config: ShardConfig, out: Output) -> Stats:
        for images in (100, 200):
            kept = {f"{length}:w": torch.tensor([images * length]) for length in (0.05, 0.1)}
            save_file(kept, out.write(f"snapshots/{images:09d}/averages.safetensors"))
        save_file({"w": torch.zeros(1)}, out.write("model/model.safetensors"))
        return Stats(Funnel(7, 7), {"objective": "diffusion"})

    opened = open_store(str(tmp_path_factory.mktemp("average") / "store"))
    refer(opened, "models/birds", trained(ShardConfig(), store=opened))
    return opened


@pytest.fixture
def sdflow(capsys: pytest.CaptureFixture[str], store: Store) -> Told:
    """Run `sdflow average`: status, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            main(["average", *arguments, "--store", store.url])
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


def test_it_is_filed_beside_the_model(sdflow: Told, store: Store):
    status, out, error = sdflow("models/birds@latest", "--length", "0.2", "--json")
    assert status == 0
    assert "filed under models/birds-0.2" in error
    told = json.loads(out)
    made: Artifact = resolve(store, "models/birds-0.2")
    source = resolve(store, "models/birds")
    assert made.fingerprint == told["fingerprint"]
    assert (told["stage"], told["kind"], told["config"]) == ("average", "model", {"length": 0.2})
    assert told["inputs"]["model"]["fingerprint"] == source.fingerprint
    assert told["statistics"]["images"] == 200

    again = json.loads(sdflow("models/birds@1", "--length", "0.2", "--json")[1])
    assert again["cached"] is True
    assert len(references(store, "models/birds-0.2")) == 1


def test_it_may_end_earlier_and_be_called_something(sdflow: Told, store: Store):
    status, out, _ = sdflow("models/birds", "--length", "0.1", "--images", "100")
    assert status == 0
    assert out.startswith("average/")
    assert resolve(store, "models/birds-0.1-100").statistics["images"] == 100
    fingerprint = resolve(store, "models/birds").fingerprint
    sdflow(fingerprint[:12], "--length", "0.1", "--name", "robins")
    assert resolve(store, "models/robins@1").statistics["length"] == 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models/birds"], ["--length"]),
        (["models/birds", "--length", "0.5"], ["length=0.5", "0.289"]),
        (["models/birds", "--length", "0.1", "--images", "300"], ["images=300", "1 to 200"]),
        (["models/birds", "--length", "0.1", "--name", "Big Birds"], ["'Big Birds' is no name"]),
        (["models/none", "--length", "0.1"], ["models/none", "models/birds"]),
        (["train/{fingerprint}", "--length", "0.1"], ["--name"]),
    ],
)
def test_wrong_input_is_one_line_and_a_status(
    sdflow: Told, store: Store, arguments: list[str], words: list[str]
):
    fingerprint = resolve(store, "models/birds").fingerprint
    status, out, error = sdflow(*(one.format(fingerprint=fingerprint) for one in arguments))
    assert (status, out) == (2, "")
    assert error.startswith("sdflow: ")
    assert len(error.splitlines()) == 1
    for word in words:
        assert word in error
