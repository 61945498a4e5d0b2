"""Every call of a stage sends its start and its end, and these say what the store says."""

import inspect
import json
import uuid
from pathlib import Path
from typing import Any

import attr
import pytest
from openlineage.client import event_v2, facet_v2

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.artifacts.excerpt import Excerpt
from stages.errors import Stopped
from stages.lineage import facets
from stages.lineage.call import ParentRun, parent_run
from stages.output import Output, Silent
from stages.stage import Stats, stage
from stages.store import Store, open_store
from tests.stages.lineage.events import SCHEMAS, sent
from tests.stages.lineage.line import Words, count_, spell


def states(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events]


def facet(event: dict[str, Any], name: str) -> dict[str, Any]:
    values = event["run"]["facets"].get(name, {})
    return {key: value for key, value in values.items() if not key.startswith("_")}


def test_a_line_tells_of_each_stage_and_what_it_read(store: Store, file: Path):
    spelling = spell(Snapshot("ab" * 32), Words(), store=store)
    count = count_(spelling, None, Words(), store=store)
    events = sent(file)
    assert states(events) == [
        *(("spell", "START"), ("spell", "COMPLETE"), ("count", "START"), ("count", "COMPLETE"))
    ]
    namespace = (Path(store.url)).as_uri()
    assert [(one["namespace"], one["name"]) for event in events[:2] for one in event["inputs"]] == [
        ("sdflow", f"snapshot/{'ab' * 32}")
    ] * 2
    (read,) = events[3]["inputs"]
    (made,) = events[1]["outputs"]
    assert (read["namespace"], read["name"]) == (made["namespace"], made["name"])
    assert (made["namespace"], made["name"]) == (namespace, f"spell/{spelling.fingerprint}")
    for dataset in (read, made):
        assert dataset["facets"]["version"]["datasetVersion"] == spelling.digest
    assert "version" not in events[0]["outputs"][0].get("facets", {}), "nobody knows its digest yet"
    statistics = events[3]["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (3, 1, 1)
    assert facet(events[1], "sdflow_funnel") == {"rowsIn": 4, "rowsOut": 3, "reasons": {"too_small": 1}}
    request = facet(events[3], "sdflow_request")
    assert (request["fingerprint"], request["digest"]) == (count.fingerprint, count.digest)
    assert (request["stageVersion"], request["kind"], request["cached"]) == (1, "count", False)
    assert facet(events[3], "processing_engine")["version"] == count.manifest.code


def test_a_run_has_one_id_and_each_call_its_own(store: Store, file: Path):
    for _ in range(2):
        spell(None, Words(), store=store)
    ids = [event["run"]["runId"] for event in sent(file)]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert {uuid.UUID(one).version for one in ids} == {7}


def test_what_is_found_finished_completes_as_cached(store: Store, file: Path):
    first, again = (spell(None, Words(), store=store) for _ in range(2))
    events = sent(file)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 2
    requests = [facet(event, "sdflow_request") for event in events]
    assert [request.get("cached") for request in requests] == [None, False, None, True]
    assert requests[1] | {"cached": True} == requests[3]
    assert first.digest == again.digest
    assert events[1]["outputs"] == events[3]["outputs"]


def test_a_config_counts_by_its_digest_and_nothing_of_it_is_told(store: Store, file: Path):
    for place in ("here", "there"):
        spell(None, Words(words=("a-secret-word",), place=place), store=store)
    events = sent(file)
    digests = {facet(event, "sdflow_request")["configDigest"] for event in events}
    assert len(digests) == 2
    assert "a-secret-word" not in json.dumps(events)


def test_what_fails_says_why_without_secrets_and_briefly(store: Store, file: Path):
    @stage(version=1, kind="x")
    def failing(config: Words, out: Output) -> Stats:
        url = "https://me:pass-word@example.org/t.parquet?sig=sesame"
        raise ValueError(f"{url} is no table \x1b[31m\u202e" + "long " * 1_000_000)

    with pytest.raises(ValueError, match="is no table"):
        failing(Words(), store=store)
    start, end = sent(file)
    assert (start["eventType"], end["eventType"]) == ("START", "FAIL")
    message = end["run"]["facets"]["errorMessage"]["message"]
    assert message.startswith("ValueError: https://…@example.org/t.parquet?… is no table \\x1b[31m\\u202e")
    assert len(message) <= 1000
    assert message.endswith("more)")
    assert "word" not in json.dumps(end)
    assert "sesame" not in json.dumps(end)
    assert "version" not in end["outputs"][0].get("facets", {})


class Stopping(Silent):
    def stopping(self) -> bool:
        return True


def test_what_is_stopped_is_aborted(store: Store, file: Path):
    spelling = spell(None, Words(), store=store)
    with pytest.raises(Stopped):
        count_(spelling, None, Words(), store=store, reporter=Stopping())
    assert states(sent(file))[2:] == [("count", "START"), ("count", "ABORT")]


def test_what_is_interrupted_is_aborted(store: Store, file: Path):
    @stage(version=1, kind="x")
    def interrupted(config: Words, out: Output) -> Stats:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(Words(), store=store)
    assert states(sent(file)) == [("interrupted", "START"), ("interrupted", "ABORT")]


def test_a_call_that_asks_for_nothing_that_can_be_named_is_no_run(store: Store, file: Path):
    with pytest.raises(TypeError, match="spell takes"):
        spell(None, None, Words(), store=store)  # pyright: ignore[reportCallIssue]
    assert sent(file) == []


def test_an_excerpt_is_the_artifact_that_it_is_a_part_of(store: Store, file: Path):
    @stage(version=1, kind="x")
    def reading(start: Excerpt, sources: tuple[Artifact | Snapshot | None, ...], config: Words, out: Output):
        return Stats(Funnel(0, 0))

    spelling = spell(None, Words(), store=store)
    sources = (Snapshot("12" * 32), None, spelling)
    reading(Excerpt(spelling, "state", "cd" * 32), sources, Words(), store=store)
    names = [one["name"] for one in sent(file)[-1]["inputs"]]
    assert names == [
        f"spell/{spelling.fingerprint}",
        f"snapshot/{'12' * 32}",
        f"spell/{spelling.fingerprint}",
    ]


def test_the_run_of_a_flow_is_the_parent_of_what_it_calls(store: Store, file: Path):
    flow = ParentRun(uuid.uuid4(), "refresh_dataset")
    with parent_run(flow):
        spell(None, Words(), store=store)
    spell(None, Words(), store=store)
    events = sent(file)
    for event in events[:2]:
        parent = event["run"]["facets"]["parent"]
        assert parent["run"]["runId"] == str(flow.id)
        assert (parent["job"]["namespace"], parent["job"]["name"]) == ("sdflow", "refresh_dataset")
    assert not any("parent" in event["run"]["facets"] for event in events[2:])


def test_jobs_are_in_the_namespace_that_the_environment_names(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "birds \x1b[2J" + "x" * 10_000)
    spell(Snapshot("ab" * 32), Words(), store=store)
    event = sent(file)[-1]
    assert event["job"]["namespace"].startswith("birds \\x1b[2Jxx")
    assert event["inputs"][0]["namespace"] == event["job"]["namespace"]


def test_a_store_is_named_by_its_address(file: Path):
    store = open_store(f"memory://{uuid.uuid4().hex}/")
    spell(None, Words(), store=store)
    assert sent(file)[-1]["outputs"][0]["namespace"] == store.url.rstrip("/")


def test_reasons_beyond_a_number_are_added_up():
    funnel = Funnel(1000 + 300, 1000, {f"r{number}": 1 for number in range(300)})
    reasons = facets.funnel_facet(funnel).reasons
    assert len(reasons) == facets.REASONS + 1
    assert sum(reasons.values()) == 300
    assert reasons[facets.OTHERS] == 100


def parsed(of: type[Any], values: dict[str, Any]) -> Any:
    """Values as a class has them that the client's makers generate from the specification: unknown fields,
    and missing ones, are errors."""
    fields = attr.fields_dict(of)
    assert set(values) <= set(fields), (of, values)
    given = {name.lstrip("_"): value for name, value in values.items() if fields[name].init}
    assert {"_schemaURL": of._get_schema()}.items() <= {"_schemaURL": of._get_schema(), **values}.items()
    return of(**given)


GENERATED = {
    member._get_schema(): member
    for module in [*vars(facet_v2).values(), facets]
    if inspect.ismodule(module)
    for member in vars(module).values()
    if attr.has(member) and hasattr(member, "_get_schema")
}


def test_events_are_what_the_specification_generates_classes_for(store: Store, file: Path):
    """By the client's classes, which its makers generate from OpenLineage's schemas, facet by facet."""
    with parent_run(ParentRun(uuid.uuid4(), "pipeline")):
        count_(spell(Snapshot("ab" * 32), Words(), store=store), None, Words(), store=store)
    with pytest.raises(Stopped):
        count_(spell(None, Words(), store=store), None, Words(place="x"), store=store, reporter=Stopping())
    events = sent(file)
    seen = set[str]()
    for event in events:
        parsed(event_v2.RunEvent, event)
        parsed(event_v2.Run, event["run"])
        parsed(event_v2.Job, event["job"])
        datasets = [parsed(event_v2.InputDataset, one) for one in event["inputs"]]
        datasets += [parsed(event_v2.OutputDataset, one) for one in event["outputs"]]
        groups = [event["run"]["facets"], event["job"]["facets"]]
        groups += [one.facets for one in datasets]
        groups += [getattr(one, "inputFacets", None) or getattr(one, "outputFacets", {}) for one in datasets]
        for name, values in [item for group in groups for item in group.items()]:
            parsed(GENERATED[values["_schemaURL"]], values)
            seen.add(name)
    assert seen == {
        *("version", "outputStatistics", "jobType", "processing_engine", "parent"),
        *("sdflow_funnel", "sdflow_request"),
    }


def test_every_custom_facet_has_a_schema_beside_the_code():
    for of in (facets.SdflowFunnelRunFacet, facets.SdflowRequestRunFacet):
        url, _, pointer = of._get_schema().partition("#")
        schema = json.loads((SCHEMAS / url.rpartition(":")[2]).read_text())
        assert schema["$id"] == url
        properties = schema["$defs"][pointer.rpartition("/")[2]]["properties"]
        assert set(properties) == {field.name for field in attr.fields(of)}
