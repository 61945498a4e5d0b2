"""Prefect's form: each parameter is nested fields with words, and a Run survives the way there and back."""

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from flows import evaluate_model, pipeline, refresh_dataset, stage_flows, train_model
from stages.config.collect import CollectConfig, UrlSource
from stages.config.run import Run

FLOWS = [
    pipeline.pipeline,
    refresh_dataset.refresh_dataset,
    train_model.train_model,
    evaluate_model.evaluate_model,
    stage_flows.collect,
    stage_flows.dedup,
    stage_flows.score,
    stage_flows.filter_,
    stage_flows.shard,
    stage_flows.encode,
]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_field_of_every_flow_says_what_it_means(flow: Any):
    schema = flow.parameters.model_dump()
    for name, field in schema["properties"].items():
        assert field.get("description"), f"{flow.name}.{name}"
    for title, block in schema["definitions"].items():
        assert block["description"], title
        for name, field in block["properties"].items():
            assert field.get("description"), f"{title}.{name}"
            # Unions of blocks don't survive the form; X or null does.
            assert not any("$ref" in one for one in field.get("anyOf", ())), f"{title}.{name}"


def test_the_form_lists_the_choices_of_a_field():
    schema = pipeline.pipeline.parameters.model_dump()
    assert schema["definitions"]["TrainConfig"]["properties"]["objective"]["enum"] == [
        "diffusion",
        "contrastive",
        "text",
        "autoencoder",
        "gan",
        "selfsupervised",
    ]
    assert schema["definitions"]["Run"]["properties"]["collect"]["$ref"].endswith("/CollectConfig")


def test_a_run_comes_back_from_the_server_as_it_went():
    urls = (UrlSource(name="web", tables=("a.csv",)),)
    run = Run(name="a", collect=CollectConfig(urls=urls, limit=3))
    stored = json.loads(json.dumps(pipeline.pipeline.serialize_parameters({"run": run})))
    assert stored["run"]["collect"]["urls"][0]["tables"] == ["a.csv"]
    assert pipeline.pipeline.validate_parameters(stored)["run"] == run
    assert pipeline.pipeline.validate_parameters({"run": asdict(run)})["run"] == run


def test_the_form_shows_the_limits_of_a_field():
    """Prefect's server refuses what breaks them when a deployment's run is submitted."""
    blocks = pipeline.pipeline.parameters.model_dump()["definitions"]
    dropout = blocks["TrainConfig"]["properties"]["caption_dropout"]
    assert (dropout["minimum"], dropout["maximum"]) == (0, 1)
    assert blocks["Run"]["properties"]["name"]["pattern"]


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"train": {"caption_dropout": 3}}, "caption_dropout"),
        ({"filter": {"min_similarity": 0.3}}, "score.model"),
        ({"filter": {"min_words": 9, "max_words": 3}}, "min_words=9, max_words=3"),
        ({"train": {"lora": {"rank": 4}}}, "lora.rank=4"),
        ({"train": {"fsdp": True, "optimizer": {"kind": "adamw8bit"}}}, "fsdp=true"),
    ],
)
def test_what_cannot_work_is_refused_when_a_flow_begins(blocks: dict[str, Any], words: str):
    """Its parameters are read before its body, so before any task."""
    with pytest.raises(ParameterTypeError, match=re.escape(words)):
        pipeline.pipeline.validate_parameters({"run": {"name": "birds", **blocks}})


def inputs(schema: dict[str, Any], field: dict[str, Any]) -> int:
    """How many values a person could set below a field; those of a list's items once."""
    reference = field.get("$ref") or field.get("items", {}).get("$ref")
    if reference is None:
        return 1
    block = schema["definitions"][reference.rsplit("/", 1)[1]]
    return sum(inputs(schema, each) for each in block["properties"].values())


def test_a_form_shows_what_its_flow_reads_and_no_more():
    # As Prefect makes them of a flow where it is deployed.
    forms = {flow.name: parameter_schema(flow).model_dump() for flow in FLOWS}
    counts = {
        name: sum(inputs(form, field) for field in form["properties"].values())
        for name, form in forms.items()
    }
    assert counts["refresh_dataset"] < 100  # of 247 when it took what trains and evaluates, too
    assert counts["refresh_dataset"] < counts["pipeline"] - counts["train_model"]
    refresh = forms["refresh_dataset"]["definitions"]
    assert not {"TrainConfig", "EncodeConfig", "EvaluateConfig"} & set(refresh)
    assert "edition" not in refresh["CollectConfig"]["properties"]
    # A run has one background, which its stages are given.
    for name, block in (("refresh_dataset", "ShardConfig"), ("pipeline", "EvaluateConfig")):
        assert "background" not in forms[name]["definitions"][block]["properties"]
    assert "background" in forms["shard"]["definitions"]["ShardConfig"]["properties"]
    assert "edition" in forms["pipeline"]["definitions"]["CollectConfig"]["properties"]
