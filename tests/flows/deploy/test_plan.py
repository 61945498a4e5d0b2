"""Plans without a server: whose deployments they are, what is made, changed, left and removed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flows.chain import links
from flows.deploy.automations import THIS, automation_of, tree_of
from flows.deploy.diff import plan_lines
from flows.deploy.plan import Deployed, Project, is_done, plan, removal
from flows.deploy.settings import (
    Options,
    Target,
    absolute_store,
    chosen,
    deployment_name,
    recorded_pools,
    settings,
)
from flows.events import REFRESHED, STORE
from flows.run.lost_runs import lost_runs
from stages.config.collect import CollectConfig, UrlSource
from stages.config.run import FilterConfig, Run

NUMBER = UUID(int=7)
BIRDS = Run(
    name="birds",
    store="/data/store",
    collect=CollectConfig(urls=(UrlSource(name="web", tables=("https://me:word@host/t.csv?sig=abc",)),)),
    filter=FilterConfig(min_words=2),
)
PROJECT = Project(run="birds", store="/data/store")
LATER = {"schedule": "0 3 * * *", "timezone": "Europe/Berlin"}


def target(
    run: Run = BIRDS, flow: str = "refresh_dataset", record: Mapping[str, Any] | None = None, **options: Any
) -> Target:
    (link,) = [link for link in links(run) if link.flow == flow]
    tree = settings(run, link, folder=Path("/project"), description="Refresh.", schema={"type": "object"})
    tree = chosen(tree, link.suffix, Options(**options), dict(record or {}))
    return Target(flow=flow, name=deployment_name(run.name, link.suffix), settings=tree)


def deployed(made: Target, owner: Project | None = PROJECT, **changed: Any) -> Deployed:
    """A target as it was deployed, and what people changed of it since."""
    tree = {**made.settings, **changed}
    tree = {key: value for key, value in tree.items() if value is not None}
    return Deployed(
        id=NUMBER, flow=made.flow, name=made.name, owner=owner, settings=tree, record=dict(made.settings)
    )


def shown(*steps: Any) -> str:
    return "\n".join(str(line) for line in plan_lines(steps))


def test_a_new_run_is_made_and_deployed_again_changes_nothing():
    made = target(**LATER)
    (step,) = plan([made], [], PROJECT)
    assert (step.verb, step.title, step.settings) == (
        "create",
        "refresh_dataset/birds-nightly",
        made.settings,
    )
    assert made.settings["schedule"] == {
        "cron": "0 3 * * *",
        "timezone": "Europe/Berlin",
        "day_or": True,
        "active": True,
    }
    steps = plan([made], [deployed(made)], PROJECT)
    assert is_done(steps)
    assert steps[0].is_recorded


def test_options_that_are_not_given_stay_as_they_were():
    first = target(**LATER)
    assert target(record=first.settings).settings == first.settings
    moved = target(record=first.settings, schedule="5 4 * * *").settings
    assert (moved["schedule"]["cron"], moved["schedule"]["timezone"]) == ("5 4 * * *", "Europe/Berlin")
    assert "schedule" not in target(record=first.settings, schedule="none").settings
    assert "schedule" not in target(flow="pipeline", **LATER).settings
    # Work pools are remembered by our words for them, so for deployments that come later, too.
    assert target(pools={"data": "cpu-box"}).settings["work_pool"] == "cpu-box"
    records = {"pipeline/birds-whole": {"work_pool": "a100"}}
    assert recorded_pools(BIRDS, links(BIRDS), records) == {"gpu": "a100"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": "at three"}, "--schedule 'at three' is no cron expression; five fields"),
        ({"schedule": "* * * * * *"}, "--schedule '* * * * * *' is no cron expression; five fields"),
        ({"schedule": "0 3 30 2 *"}, "--schedule '0 3 30 2 *' never comes"),
        ({"schedule": "0 3 * * *", "timezone": "Europe/Atlantis"}, "--timezone 'Europe/Atlantis' is none"),
        ({"timezone": "UTC"}, "--timezone UTC is of a schedule, and there is none; add --schedule"),
    ],
)
def test_a_schedule_that_is_none_is_refused(options: dict[str, str], words: str):
    with pytest.raises(ValueError, match="--") as refused:
        target(**options)
    assert str(refused.value).startswith(words)


def test_a_paused_schedule_and_an_edited_one_stay():
    made = target(**LATER)
    edited = {**made.settings["schedule"], "active": False, "cron": "0 9 * * *"}
    (step,) = plan([target(**LATER)], [deployed(made, schedule=edited)], PROJECT)
    assert step.verb == "keep"
    assert 'schedule.cron: "0 9 * * *", kept: changed by hand (the file: "0 3 * * *")' in shown(step)
    assert "schedule.active: false, kept: changed by hand (the file: true)" in shown(step)
    # What nobody touched of it still follows.
    (step,) = plan([target(schedule="0 3 * * *", timezone="UTC")], [deployed(made, schedule=edited)], PROJECT)
    assert step.settings["schedule"] == {**edited, "timezone": "UTC"}


def test_a_schedule_deleted_by_hand_stays_away_as_a_whole():
    made = target(**LATER)
    for again in (target(**LATER), target(schedule="0 4 * * *")):
        (step,) = plan([again], [deployed(made, schedule=None)], PROJECT)
        assert step.verb == "keep"
        assert "schedule" not in step.settings
        assert "schedule: deleted, kept: changed by hand" in shown(step)


def test_a_schedule_that_was_paused_goes_with_the_option():
    made = target(**LATER)
    paused = {**made.settings["schedule"], "active": False}
    (step,) = plan(
        [target(record=made.settings, schedule="none")], [deployed(made, schedule=paused)], PROJECT
    )
    assert step.verb == "update"
    assert "schedule" not in step.settings


def test_a_disabled_automation_stays_disabled_while_its_parameters_follow():
    made = target(flow="train_model")
    assert made.settings["automation"]["trigger"]["expect"] == [REFRESHED]
    assert made.settings["automation"]["trigger"]["match"] == {
        "prefect.resource.id": "datasets/birds",
        STORE: "/data/store",
    }
    off = {**made.settings["automation"], "enabled": False}
    newer = target(flow="train_model")
    newer.settings["automation"]["actions"]["1"]["parameters"]["cause"] = "{{ event.id }}"
    (step,) = plan([newer], [deployed(made, automation=off)], PROJECT)
    assert step.settings["automation"]["enabled"] is False
    assert step.settings["automation"]["actions"]["1"]["parameters"]["cause"] == "{{ event.id }}"


def test_another_project_s_deployments_are_refused():
    theirs = Project(run="birds", store="s3://theirs/birds")
    with pytest.raises(
        ValueError, match=r"in the store 's3://theirs/birds', not in '/data/store'; give this"
    ):
        plan([target()], [deployed(target(), owner=theirs)], PROJECT)
    with pytest.raises(ValueError, match="that sdflow deploy did not make; remove it by `prefect deployment"):
        plan([target()], [deployed(target(), owner=None)], PROJECT)


def test_what_a_run_no_longer_has_is_removed_and_nothing_else():
    training = deployed(target(flow="train_model"))
    theirs = replace(training, name="birds-mine", owner=None)
    steps = plan([target()], [deployed(target()), training, theirs], PROJECT)
    assert [(step.verb, step.title) for step in steps] == [
        ("keep", "refresh_dataset/birds-nightly"),
        ("delete", "train_model/birds-on-refresh"),
    ]
    (step,) = removal([replace(training, others=["page me"])])
    assert "left: automation page me, made by hand, starts it" in shown(step)


def test_secrets_of_urls_are_not_shown():
    (step,) = plan([target()], [], PROJECT)
    assert 'tables": ["https://…@host/t.csv?…"]' in shown(step)
    urls = (UrlSource(name="web", tables=("https://me:other@host/t.csv?sig=xyz",)),)
    newer = target(replace(BIRDS, collect=CollectConfig(urls=urls)))
    (step,) = plan([newer], [deployed(target())], PROJECT)
    assert step.verb == "update"
    assert "(changed where it is not shown)" in shown(step)
    for secret in ("word", "other", "abc", "xyz"):
        assert secret not in shown(step)


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("/data/../store", "/store"),
        ("file:///store", "/store"),
    ],
)
def test_a_store_has_one_spelling(store: str, url: str):
    assert absolute_store(store) == url


def test_a_store_of_one_folder_or_process_is_made_absolute_or_refused(monkeypatch: Any, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert absolute_store("store") == str(tmp_path.resolve() / "store")
    with pytest.raises(ValueError, match="no worker reads it"):
        absolute_store("memory://a")


def test_names_that_prefect_would_refuse_are_spelled_otherwise():
    assert deployment_name("birds/small", "nightly") == "birds:small-nightly"


def test_an_automation_is_the_same_after_its_tree():
    automation = lost_runs()
    assert automation_of(tree_of(automation)).model_dump(mode="json", exclude={"owner_resource"}).keys()
    assert tree_of(automation_of(tree_of(automation))) == tree_of(automation)
    tree = target(flow="train_model").settings["automation"]
    assert tree["actions"]["1"]["deployment_id"] == THIS
    assert tree_of(automation_of(tree, NUMBER), NUMBER) == tree
