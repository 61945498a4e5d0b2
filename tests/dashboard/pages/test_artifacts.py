"""The page of an artifact: what it says, what it hands out, and what it refuses."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.web.security import Access
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import ON_HOLD, refer
from stages.artifacts.tombstone import Tombstone
from stages.store import FolderStore, Store, open_store
from stages.takedown.purge import purge
from stages.takedown.records import Name, forget
from tests.dashboard.conftest import ADDRESS


@pytest.fixture
def own(filled: Store, tmp_path: Path) -> FolderStore:
    """A store of the test's own."""
    store = open_store(str(shutil.copytree(filled.url, tmp_path / "own")))
    assert isinstance(store, FolderStore)
    return store


def path(artifact: Artifact, below: str = "") -> str:
    return f"/artifacts/{artifact.stage}/{artifact.fingerprint}{below}"


def asked(store: Store) -> TestClient:
    return TestClient(create_app(store), base_url=ADDRESS)


def write(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_every_artifact_has_a_page(client: TestClient, made: dict[str, Artifact]):
    for artifact in made.values():
        answer = client.get(path(artifact))
        assert answer.status_code == 200
        assert answer.text.count("<h1>") == 1
        assert len(re.findall(r"<[a-z]", answer.text)) < 2000
        assert artifact.digest in answer.text


def test_the_funnel_s_bars_lead_to_their_rows(client: TestClient, made: dict[str, Artifact]):
    selection = made["filter"]
    text = client.get(path(selection)).text
    for reason, rows in selection.funnel.reasons.items():
        assert f'href="{path(selection)}/rows?reason={reason}"' in text
        assert f'<td class="number">{rows}</td>' in text
    assert "low similarity" in text
    assert f'href="{path(selection)}/rows">went on</a>' in text
    assert f'href="{path(made["train"])}/rows"' not in client.get(path(made["train"])).text  # it has none


def test_lineage_leads_up_and_down(client: TestClient, made: dict[str, Artifact]):
    text = client.get(path(made["shard"])).text
    for stage in ("collect", "filter", "train", "evaluate"):
        assert f'href="{path(made[stage])}"' in text


def test_warnings_and_facts_are_in_words(client: TestClient, made: dict[str, Artifact]):
    text = client.get(path(made["train"])).text
    assert "can learn the pictures by heart" in text
    assert "optimizer.kind" in text


def test_what_is_not_there_has_no_page(client: TestClient, made: dict[str, Artifact]):
    assert client.get(f"/artifacts/shard/{'0' * 64}").status_code == 404
    assert client.get(f"/artifacts/train/{made['shard'].fingerprint}").status_code == 404


def test_the_config_is_saved_and_named_by_its_command(client: TestClient, made: dict[str, Artifact]):
    page = client.get(path(made["filter"])).text
    name = f"filter-{made['filter'].fingerprint[:12]}.yaml"
    assert f"sdflow stage filter {name} --upstream" in page
    answer = client.get(path(made["filter"], "/config.yaml"))
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert "min_similarity: 0.75" in answer.text


def test_a_file_is_saved_and_never_opened(client: TestClient, made: dict[str, Artifact]):
    model = made["train"]
    answer = client.get(path(model, "/files/curve.png"))
    assert answer.content == model.read("curve.png")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    part = client.get(path(model, "/files/curve.png"), headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")


@pytest.mark.parametrize("name", ["nothing", "../format.json", "%2e%2e/format.json", "..%2Fformat.json"])
def test_no_other_file_is_handed_out(client: TestClient, made: dict[str, Artifact], name: str):
    assert client.get(path(made["train"], f"/files/{name}")).status_code == 404


def test_a_damaged_file_is_not_handed_out(own: FolderStore, made: dict[str, Artifact]):
    write(own.root / made["train"].entry("metrics.jsonl").key, b"other")
    answer = asked(own).get(path(made["train"], "/files/metrics.jsonl"))
    assert answer.status_code == 400
    assert "should hash to" in answer.text or "restore it" in answer.text


def test_files_with_a_picture_that_was_taken_down_are_withheld_until_it_is_purged(
    own: FolderStore, made: dict[str, Artifact]
):
    row = made["shard"].table("index").iloc[0]
    images = Artifact.open(own, "collect", made["collect"].fingerprint)
    collected = images.table("images").set_index("uid").loc[row["uid"]]
    picture = images.read(collected["file"], int(collected["offset"]), int(collected["length"]))
    places = [(made["shard"], row["file"]), (images, collected["file"])]
    client = asked(own)
    assert all(picture in client.get(path(artifact, f"/files/{name}")).content for artifact, name in places)
    record = forget(own, [Name("uid", row["uid"])], "asked by the artist")
    for artifact, name in places:
        answer = client.get(path(artifact, f"/files/{name}"))
        assert answer.status_code == 410
        assert "taken down" in answer.text
        assert client.get(path(artifact)).status_code == 200
    assert client.get(path(made["train"], "/files/curve.png")).status_code == 200
    purge(own, record)
    client = asked(own)
    for artifact, name in places:
        answer = client.get(path(artifact, f"/files/{name}"))
        assert answer.status_code == 200
        assert picture not in answer.content
    assert "Amended on" in client.get(path(images)).text


def test_a_version_on_hold_says_why(own: FolderStore, made: dict[str, Artifact]):
    refer(own, "datasets/held", made["filter"], {ON_HOLD: ["too <few>"]})
    text = asked(own).get(path(made["filter"])).text
    assert "datasets/held@1 is on hold: too &lt;few&gt;" in text
    assert "sdflow approve datasets/held@1" in text


def test_a_dropped_one_says_so_and_what_is_still_known(own: FolderStore, made: dict[str, Artifact]):
    artifact = made["filter"]
    manifest = replace(artifact.manifest, files={})
    tombstone = Tombstone(manifest, 2, 1000, ("datasets/old@1",), "2026-01-02T03:04:05", "retention of old")
    own.create(tombstone.key, tombstone.to_json())
    own.delete([f"manifests/filter/{artifact.fingerprint}.json"])
    client = asked(own)
    text = client.get(path(artifact)).text
    assert "datasets/old@1 was dropped on 2026-01-02 by retention of old" in text
    assert "Verify now" not in text
    assert client.get(path(artifact, "/files/rejects.parquet")).status_code == 410
    assert client.get(path(artifact, "/config.yaml")).status_code == 200


def test_an_unknown_kind_and_foreign_words_are_shown_as_text(own: FolderStore, made: dict[str, Artifact]):
    manifest = replace(
        made["filter"].manifest,
        fingerprint="ab" * 32,
        kind="<b>kind",
        stage="other",
        statistics={"<script>": "<img src=x>\x1b[31m", "warnings": ["<i>w</i>"]},
        config={"list": [{"<b>": "https://user:word@a.example/?token=s"}]},
    )
    own.create(f"manifests/other/{'ab' * 32}.json", manifest.to_json())
    answer = asked(own).get(f"/artifacts/other/{'ab' * 32}")
    assert answer.status_code == 200
    assert "does not know results of kind" in answer.text
    for words in ("<script>", "<img src", "<i>w", "<b>", "\x1b", "word@", "token=s"):
        assert words not in answer.text.replace("<script src=", "")


def test_long_lists_of_files_have_pages(own: FolderStore, made: dict[str, Artifact]):
    manifest = made["filter"].manifest
    (entry, *_) = manifest.files.values()
    files = {f"part-{number:04d}.bin": entry for number in range(250)}
    own.create(
        f"manifests/other/{'ab' * 32}.json",
        replace(manifest, fingerprint="ab" * 32, stage="other", files=files).to_json(),
    )
    client = asked(own)
    seen, address = [], f"/artifacts/other/{'ab' * 32}"
    while address:
        text = client.get(address).text
        seen += re.findall(r">(part-\d{4}\.bin)</a>", text)
        match = re.search(r'href="([^"]*files_after=[^"#]*)#files"', text)
        address = match[1] if match else ""
    assert seen == sorted(files)


def test_one_flipped_byte_is_found_recorded_and_shown(own: FolderStore, made: dict[str, Artifact]):
    access = Access()
    client = TestClient(create_app(own, access), base_url=ADDRESS, headers={"origin": ADDRESS})
    dataset = made["shard"]
    form = {"form_token": access.form_token}
    answer = client.post(path(dataset, "/verify"), data=form)
    assert "everything is as it was published" in answer.text
    where = own.root / dataset.entry(dataset.names("shards/")[0]).key
    data = bytearray(where.read_bytes())
    data[700] ^= 1
    write(where, bytes(data))
    answer = client.post(path(dataset, "/verify"), data=form)
    assert answer.status_code == 200
    assert "1 damaged" in answer.text
    assert "should hash to" in answer.text
    assert len(list(own.list(f"verifications/shard/{dataset.fingerprint}"))) == 2
    for stage in ("train", "evaluate"):
        assert "damaged input" in client.get(path(made[stage])).text
    assert "damaged input" not in client.get(path(made["dedup"])).text


def test_nobody_else_s_form_verifies(own: FolderStore, made: dict[str, Artifact]):
    client = TestClient(create_app(own), base_url=ADDRESS, headers={"origin": ADDRESS})
    assert client.post(path(made["filter"], "/verify"), data={"form_token": "wrong"}).status_code == 403
    assert client.post(path(made["filter"], "/verify"), data={"other": "1"}).status_code == 403
    assert not list(own.list("verifications"))


def test_a_store_that_is_read_only_says_so(filled: Store, made: dict[str, Artifact]):
    access = Access()
    app = create_app(open_store(filled.url, writable=False), access)
    client = TestClient(app, base_url=ADDRESS, headers={"origin": ADDRESS})
    answer = client.post(path(made["filter"], "/verify"), data={"form_token": access.form_token})
    assert answer.status_code == 400
    assert "was opened for reading" in answer.text
