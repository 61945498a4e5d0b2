"""A deployment's parameters in short: the same run, whoever wrote the defaults down."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from flows.chain import links
from flows.deploy.parameters import check_parameters, without_defaults
from stages.config.collect import CollectConfig, FolderSource
from stages.config.run import FilterConfig, Run

BIRDS = Run(
    name="birds",
    store="/data/store",
    background="#000000",
    collect=CollectConfig(folders=(FolderSource(name="p", folder="pictures"),)),
    filter=FilterConfig(min_words=2),
)
REFRESH, WHOLE = "flows.refresh_dataset:refresh_dataset", "flows.pipeline:pipeline"


def as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("link", links(BIRDS), ids=lambda link: link.flow)
def test_what_a_link_passes_on_is_short_already(link: Any):
    assert without_defaults(link.entrypoint, link.parameters) == link.parameters


def test_a_form_that_writes_every_default_down_changes_nothing():
    short: Any = {
        "run": {"name": "birds", "store": "/data/store", "background": "#000000", "filter": {"min_words": 2}}
    }
    short["run"]["collect"] = {"folders": [{"name": "p", "folder": "pictures"}]}
    assert without_defaults(WHOLE, {"run": as_json(asdict(BIRDS))}) == short
    dataset = as_json(asdict(BIRDS.dataset_run))
    assert without_defaults(REFRESH, {"run": dataset, "edition": ""}) == short


def test_what_the_flow_would_refuse_stays_as_it_is():
    odd = {"run": {"name": "birds", "unknown": 1}, "more": 2}
    assert without_defaults(REFRESH, odd) == odd


def test_a_merge_that_makes_no_config_is_refused_by_name():
    merged = as_json(asdict(replace(BIRDS, filter=FilterConfig(max_words=9))))
    merged["filter"]["min_words"] = 12
    with pytest.raises(
        ValueError, match=r"pipeline/birds-whole: what was changed there by hand.*min_words=12"
    ):
        check_parameters(WHOLE, {"run": merged}, "pipeline/birds-whole")
    check_parameters(WHOLE, {"run": as_json(asdict(BIRDS))}, "pipeline/birds-whole")
