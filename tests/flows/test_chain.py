"""The links of a run's chain: what deployments and automations are made of."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from flows.chain import Link, links, plain
from flows.config.values import run_of
from flows.events import ENCODED, REFRESHED, TRAINED
from sdmodel.config.train import TrainConfig
from stages.config.collect import CollectConfig, FolderSource
from stages.config.encode import EncodeConfig
from stages.config.run import Run

FOLDERS = CollectConfig(folders=(FolderSource(name="p", folder="pictures"),))
BIRDS = Run(name="birds", collect=FOLDERS)
ENCODING = replace(BIRDS, encode=EncodeConfig(autoencoder="vae"))
BLACK = replace(BIRDS, background="#000000", train=TrainConfig(images=7))


def named(run: Run) -> dict[str, Link]:
    return {link.flow: link for link in links(run)}


def test_each_link_waits_for_the_event_of_the_one_before_it():
    assert [(link.flow, link.suffix, link.pool, link.event, link.reference) for link in links(BIRDS)] == [
        ("refresh_dataset", "nightly", "data", "", ""),
        ("train_model", "on-refresh", "gpu", REFRESHED, "datasets/birds"),
        ("evaluate_model", "on-train", "gpu", TRAINED, "models/birds"),
        ("pipeline", "whole", "gpu", "", ""),
    ]


def test_a_run_that_encodes_trains_on_what_was_encoded():
    assert [(link.flow, link.suffix, link.event) for link in links(ENCODING)] == [
        ("refresh_dataset", "nightly", ""),
        ("encode", "on-refresh", REFRESHED),
        ("train_model", "on-encode", ENCODED),
        ("evaluate_model", "on-train", TRAINED),
        ("pipeline", "whole", ""),
    ]
    train = named(ENCODING)["train_model"]
    assert train.event_parameters["latents"] == "{{ event.payload.latents }}"
    assert "latents" not in named(BIRDS)["train_model"].event_parameters


def test_parameters_are_what_differs_from_the_defaults():
    place = {"name": "birds", "store": "store"}
    source = {"folders": [{"name": "p", "folder": "pictures"}]}
    assert named(BIRDS)["refresh_dataset"].parameters == {"run": {"name": "birds", "collect": source}}
    assert named(BIRDS)["train_model"].parameters == {"dataset": "datasets/birds", **place}
    assert named(BIRDS)["evaluate_model"].parameters == {"model": "models/birds", **place}

    assert named(BLACK)["train_model"].parameters["config"] == {"images": 7}
    # Alone it cannot know the run's background.
    assert named(BLACK)["evaluate_model"].parameters["config"] == {"background": "#000000"}
    whole = {"name": "birds", "background": "#000000", "collect": source, "train": {"images": 7}}
    assert named(BLACK)["pipeline"].parameters == {"run": whole}


@pytest.mark.parametrize("run", [BIRDS, ENCODING, BLACK], ids=["birds", "encoding", "black"])
def test_a_flow_reads_its_parameters_back_as_they_were(run: Run):
    for link in links(run):
        module, _, function = link.entrypoint.partition(":")
        flow = getattr(import_module(module), function)
        assert flow.name == link.flow
        assert set(link.event_parameters) <= set(flow.parameters.properties)
        event = {name: f"filled in {name}" for name in link.event_parameters}
        read = flow.validate_parameters({**json.loads(json.dumps(link.parameters)), **event})
        if "run" in read:
            assert read["run"] == (run if isinstance(read["run"], Run) else run.dataset_run)
        else:
            assert read["store"] == run.store
            block = {"encode": "encode", "train_model": "train", "evaluate_model": "evaluate"}[link.flow]
            assert read.get("config", type(getattr(run, block))()) == getattr(run, block)


def test_a_config_without_its_defaults_is_the_same_config(tiny_run: Callable[[Path], Run], tmp_path: Path):
    run = tiny_run(tmp_path)
    assert run_of(plain(run), "plain") == run
