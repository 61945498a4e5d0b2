"""A model's page: what it learned from and back, its curves and samples, how well it does."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.artifacts.tombstone import Tombstone
from stages.store import Store, open_store
from stages.takedown.purge import purge
from stages.takedown.records import Name, forget
from tests.dashboard.conftest import ADDRESS
from tests.dashboard.results import Choices, averaged, evaluation, metrics, model, png


@pytest.fixture
def store(filled: Store, tmp_path: Path) -> Store:
    """A copy of the line's store, to be changed."""
    shutil.copytree(filled.url, tmp_path / "copy")
    return open_store(str(tmp_path / "copy"))


@pytest.fixture
def asked(store: Store) -> Iterator[TestClient]:
    with TestClient(create_app(store), base_url=ADDRESS) as client:
        yield client


def files(seed: int = 0) -> dict[str, bytes]:
    config = {"training": {"images": 1000, "unet": {"channels": [8, 16]}}}
    samples = {f"samples/{images:09d}.png": png() for images in (1000, 200, 30000)}
    return {
        "metrics.jsonl": metrics(100, seed).encode(),
        "model/config.json": json.dumps(config).encode(),
        "curve.png": png(),
        "samples/progress.png": png(),
        **samples,
    }


def test_a_model_of_the_line_leads_to_its_pictures(client: TestClient, made: dict[str, Artifact]):
    text = client.get(f"/models/{made['train'].fingerprint}").text
    dataset = made["shard"]
    assert (
        f'href="/artifacts/shard/{dataset.fingerprint}/rows"' in text
    )  # one click, and the pictures are there
    assert f'href="/collections/{made["collect"].fingerprint}"' in text
    assert "learned from" in text
    assert "85,595" not in re.sub(
        r"<li.*?</li>", "", text
    )  # parameters are counted by file, not taken from words
    assert text.count('<svg class="curves"') == 3  # loss, gradient norm, rate
    assert "sdflow generate models/line@1" in text
    for uid in set(made["evaluate"].json("report.json")["nearest"]["uids"]):
        assert f'href="/images/{uid}"' in text
        assert f"/artifacts/shard/{dataset.fingerprint}/thumbnails/{uid}" in text
    assert "style=" not in text


def test_parameters_are_counted(client: TestClient, made: dict[str, Artifact]):
    text = client.get(f"/models/{made['train'].fingerprint}").text
    counts = [
        int(count.replace(",", ""))
        for count in re.findall(r'safetensors</th><td class="number">([\d,]+)', text)
    ]
    assert len(counts) == 2
    assert min(counts) > 1000


def test_samples_are_slides_without_a_script(store: Store, asked: TestClient, made: dict[str, Artifact]):
    made_model = model(store, made["shard"], Choices(), files())
    text = asked.get(f"/models/{made_model.fingerprint}").text
    slides = re.findall(r'<input type="radio" name="sample"( checked)?> ([\d,]+)', text)
    assert slides == [("", "200"), ("", "1,000"), (" checked", "30,000")]
    assert "progress.png" not in text
    chosen = asked.get(f"/models/{made_model.fingerprint}?sample=samples/000000200.png").text
    assert re.findall(r"radio.*?( checked)?> 200<", chosen) == [" checked"]
    path = f"/artifacts/train/{made_model.fingerprint}/pictures/samples/000000200.png"
    assert f'src="{path}"' in text
    answer = asked.get(path)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/png", png())


def test_scales_are_links(store: Store, asked: TestClient, made: dict[str, Artifact]):
    made_model = model(store, made["shard"], Choices(), files())
    by_itself = asked.get(f"/models/{made_model.fingerprint}").text
    linear = asked.get(f"/models/{made_model.fingerprint}?scale=linear").text
    assert 'href="?scale=linear#curves"' in by_itself
    curve = re.compile(r'series-0 line" fill="none" d="M\d+[^"]{50,}')
    assert curve.findall(by_itself) != curve.findall(linear)
    assert curve.findall(by_itself) == curve.findall(
        asked.get(f"/models/{made_model.fingerprint}?scale=log").text
    )
    assert asked.get(f"/models/{made_model.fingerprint}?scale=<b>").status_code == 200


def test_measures_stand_beside_those_of_earlier_models(
    store: Store, asked: TestClient, made: dict[str, Artifact]
):
    """Whatever a report measures, a measure that came later too; and what is no same measurement is said."""
    models = [model(store, made["shard"], Choices(seed=seed), files(seed)) for seed in range(3)]
    reports = [
        {"validation": {"mse": 0.5}},
        {"validation": {"mse": 0.4}, "new": {"thing": 7}},
        {"validation": {"mse": 0.1}},
    ]
    settings = [Choices(), Choices(text="other"), Choices()]
    for each, report, choices in zip(models, reports, settings, strict=True):
        refer(store, "models/birds", each)
        evaluation(store, each, made["shard"], report, choices)
    text = asked.get(f"/models/{models[2].fingerprint}").text
    heads = re.findall(r"models/birds@(\d)</a>(.*?)</th>", text)
    assert [number for number, _ in heads] == ["2", "1"]
    assert ["other settings" in badge for _, badge in heads] == [True, False]
    row = re.search(r"validation.mse<span class=\"meaning\">([^<]*)</span></th>(.*?)</tr>", text, re.DOTALL)
    assert row
    assert "less is better" in row[1]
    assert re.findall(r"<td[^>]*>(.*?)</td>", row[2]) == ["0.1", "0.4 (-0.3)", "0.5 (-0.4)"]
    assert "new.thing" in text
    first = asked.get(f"/models/{models[0].fingerprint}").text
    assert "models/birds@2" not in first.split("How well it does")[1].split("Nearest")[0]
    assert "No earlier version of its name was evaluated" in first


def test_an_average_shows_the_training_that_it_is_of(
    store: Store, asked: TestClient, made: dict[str, Artifact]
):
    trained = model(store, made["shard"], Choices(), files())
    text = asked.get(f"/models/{averaged(store, trained).fingerprint}").text
    assert f'Of the training that it is an average of, <a href="/models/{trained.fingerprint}">' in text
    assert '<svg class="curves"' in text
    assert "begun with" in text
    assert "It has not been evaluated" in text


def test_hostile_words_are_shown_as_text(store: Store, asked: TestClient, made: dict[str, Artifact]):
    hostile = "<img src=x onerror=alert(1)>\x1b[31m **bold**"
    bad = model(
        store, made["shard"], Choices(text=hostile), files(), loss=1.0, warnings=[hostile], start=hostile
    )
    line = json.dumps({"images": 5, hostile: 1.0, "a/<script>x": 2.0}) + "\n"
    worse = model(store, made["shard"], Choices(seed=9), {"metrics.jsonl": line.encode()})
    evaluated = evaluation(
        store, bad, made["shard"], {hostile: {hostile: 1.0}, "nearest": {"uids": [hostile]}}
    )
    addresses = (
        f"/models/{bad.fingerprint}",
        f"/models/{worse.fingerprint}",
        f"/evaluations/{evaluated.fingerprint}",
    )
    for path in addresses:
        answer = asked.get(path)
        assert answer.status_code == 200
        assert "<img src=x" not in answer.text
        assert "<script>x" not in answer.text
        assert "\x1b" not in answer.text


def test_damage_is_said_and_hides_nothing_else(store: Store, asked: TestClient, made: dict[str, Artifact]):
    damaged = model(store, made["shard"], Choices(), files(seed=7))  # bytes that nothing else has shown
    for name in ("metrics.jsonl", "model/config.json", "samples/000000200.png"):
        path = Path(store.url) / damaged.entry(name).key
        path.chmod(0o644)
        path.write_bytes(b"x" * damaged.entry(name).size)
    answer = asked.get(f"/models/{damaged.fingerprint}")
    assert answer.status_code == 200
    assert answer.text.count('role="alert"') == 2
    assert "Use it" in answer.text
    picture = asked.get(f"/artifacts/train/{damaged.fingerprint}/pictures/samples/000000200.png")
    assert picture.status_code == 409


def test_a_dropped_model_is_still_known(store: Store, asked: TestClient, made: dict[str, Artifact]):
    dropped = model(store, made["shard"], Choices(), files())
    measured = evaluation(store, dropped, made["shard"], {"validation": {"mse": 0.5}})
    manifest = dropped.manifest
    bare = Tombstone(
        manifest=type(manifest)(**{**vars(manifest), "files": {}}),
        files=8,
        size=100,
        references=(),
        time="2026-01-01T00:00:00+00:00",
        why="retention of models/birds",
    )
    store.create(bare.key, bare.to_json())
    store.delete([f"manifests/train/{dropped.fingerprint}.json"])
    answer = asked.get(f"/models/{dropped.fingerprint}")
    assert answer.status_code == 200
    assert "was dropped on 2026-01-01" in answer.text
    assert made["shard"].fingerprint in answer.text
    assert asked.get(f"/artifacts/train/{dropped.fingerprint}/pictures/curve.png").status_code == 404
    assert asked.get(f"/evaluations/{measured.fingerprint}").status_code == 200


def test_only_drawings_are_served(client: TestClient, made: dict[str, Artifact]):
    train, collect = made["train"], made["collect"]
    served = client.get(f"/artifacts/train/{train.fingerprint}/pictures/curve.png")
    assert served.headers["content-type"] == "image/png"
    for stage, fingerprint, name in (
        ("train", train.fingerprint, "model/config.json"),
        ("train", train.fingerprint, "../../../format.json"),
        ("evaluate", train.fingerprint, "curve.png"),
        ("collect", collect.fingerprint, collect.names("tars/")[0]),
        ("train", "0" * 64, "curve.png"),
    ):
        assert client.get(f"/artifacts/{stage}/{fingerprint}/pictures/{name}").status_code == 404


def test_a_drawing_of_a_picture_that_was_taken_down_is_not_served(
    store: Store, asked: TestClient, made: dict[str, Artifact]
):
    evaluate = made["evaluate"]
    uid = evaluate.json("report.json")["nearest"]["uids"][0]
    path = f"/artifacts/evaluate/{evaluate.fingerprint}/pictures/nearest.png"
    before = asked.get(path).content
    takedown = forget(store, [Name("uid", uid)], "its author asked")
    answer = asked.get(path)  # before anything is purged
    assert answer.status_code == 410
    page = asked.get(f"/models/{made['train'].fingerprint}").text
    assert path not in page
    assert "was taken down, and is not shown" in page
    assert path not in asked.get(f"/evaluations/{evaluate.fingerprint}").text
    purge(store, takedown)
    with TestClient(create_app(store), base_url=ADDRESS) as again:
        grey = again.get(path)
        assert grey.status_code == 200
        assert grey.content != before


def test_every_table_of_a_report_is_shown(client: TestClient, made: dict[str, Artifact]):
    text = client.get(f"/evaluations/{made['evaluate'].fingerprint}").text
    for title in ("oracle", "sampling", "validation", "validation: levels", "nearest"):
        assert f"<h2>{title}</h2>" in text
    assert text.count("mse shuffled") == 2
    assert "nearest.png" in text
    assert client.get(f"/evaluations/{made['train'].fingerprint}").status_code == 404


def test_what_is_no_model_has_no_model_page(client: TestClient, made: dict[str, Artifact]):
    assert client.get(f"/models/{made['shard'].fingerprint}").status_code == 404
    assert client.get("/models/abc").status_code == 404
