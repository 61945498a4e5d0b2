"""A bit that flips in any record of a store, or in any file that one names, is noticed and named."""

import random
import shutil
from pathlib import Path

import pytest

from stages.artifacts.amendment import Replacement, amend
from stages.artifacts.artifact import Artifact, Funnel, Manifest
from stages.artifacts.reference import refer, resolve
from stages.artifacts.seal import sealed, unsealed
from stages.artifacts.status import status_log
from stages.artifacts.study import (
    StudyCase,
    StudyCell,
    StudyColumn,
    StudyDecision,
    StudyRecord,
    StudyRow,
    StudyTable,
    add_study,
)
from stages.artifacts.verification import verify_and_record
from stages.config.run import ScoreConfig
from stages.errors import DamagedError
from stages.fingerprint import sha256_of
from stages.output import Output, PartResult, PartSpec, Silent
from stages.stage import Stats, stage
from stages.store import FolderStore
from stages.takedown.records import Name, forget
from stages.verify import verify_store
from tests.stages.artifacts.test_status import AT_WORK, REQUEST

STUDY = StudyRecord(
    name="widths",
    title="Widths",
    about="",
    method="",
    tables=(
        StudyTable("", (StudyColumn("loss", 3, "lower"),), (StudyRow("wide", (StudyCell(0.5, 0.4, 0.6),)),)),
    ),
    decisions=(StudyDecision("loss", "wide", ("narrow",)),),
    dropped="",
    cases=(StudyCase("", "wide", 0, 1.0, 640, "a" * 64, "", {"train.loss": 0.5}),),
)
RECORDS = (
    *("manifests", "parts", "refs", "leases", "status", "amendments", "takedowns", "verifications"),
    "studies",
)
FLIPS = 48
"""Of each record: seeded, spread over all of it."""


def _write(folder: Path, word: str) -> PartResult:
    (folder / f"{word}.txt").write_text(word)
    return PartResult(Funnel(2, 1, {"too_small": 1}), {"word": word})


@stage(version=3, kind="words")
def spell(letters: Artifact | None, config: ScoreConfig, out: Output) -> Stats:
    for part in out.parts([PartSpec(word, [word], word) for word in ("one", "two")], _write):
        out.add(part)
    out.write("facts.json").write_text('{"letters": 6}')
    return Stats(Funnel(3, 2, {"too_small": 1}), {"loss": 1e-05, "mean": [0.5, 2]})


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a record of each kind: two artifacts, one of them amended, and a part of nobody's."""
    store = FolderStore(tmp_path_factory.mktemp("filled"))
    first = spell(None, ScoreConfig(), store=store)
    second = spell(first, ScoreConfig(model="ViT-B-32", batch=8), store=store)
    refer(store, "words/demo", second, {"why": "the newest"})
    path = store.scratch() / "grey.txt"
    path.write_text("***")
    change = Replacement(
        "one.txt", "files/purge/1/one.txt", 3, sha256_of(path), first.entry("one.txt").key, ""
    )
    store.put(change.key, path)
    amend(store, "spell", first.fingerprint, [change], "a take-down", 1)
    verify_and_record(second)
    add_study(store, STUDY)
    forget(store, [Name("url", "https://a.org/1.png")], "asked by the artist")
    out = Output(store, "spell", 3, {}, "ab" * 32, Silent())
    out.part("unfinished", ["three"], lambda folder: _write(folder, "three"))
    out.close()
    assert status_log(store, *REQUEST).append(1, AT_WORK.to_json())
    return store.root


@pytest.fixture
def copy(filled: Path, tmp_path: Path) -> FolderStore:
    return FolderStore(shutil.copytree(filled, tmp_path / "store"))


def flip(path: Path, chance: random.Random) -> None:
    """One bit of a file, anywhere."""
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.chmod(0o644)
    path.write_bytes(data)


def test_nothing_is_wrong_with_what_was_just_made(copy: FolderStore) -> None:
    result = verify_store(copy)
    assert not any(result.complaints.values())
    assert (result.artifacts, result.files, result.damaged, result.unnamed) == (2, 6, 0, 0)
    assert {key.split("/")[0] for key in _keys(copy, RECORDS)} == set(RECORDS)


@pytest.mark.parametrize("kind", RECORDS)
def test_every_flip_in_a_record_is_named(copy: FolderStore, kind: str) -> None:
    chance = random.Random(kind)
    for key in _keys(copy, [kind]):
        path = copy.root / key
        before = path.read_bytes()
        for _ in range(FLIPS):
            flip(path, chance)
            named = {name for name, wrong in verify_store(copy).complaints.items() if wrong}
            assert key in named or key.removeprefix("manifests/").removesuffix(".json") in named
            path.write_bytes(before)


def test_every_flip_in_a_file_is_named(copy: FolderStore) -> None:
    chance = random.Random(0)
    for key in _keys(copy, ["files"]):
        before = (copy.root / key).read_bytes()
        flip(copy.root / key, chance)
        complaints = [one for wrong in verify_store(copy).complaints.values() for one in wrong]
        assert any(key in one for one in complaints)
        (copy.root / key).write_bytes(before)


def test_a_manifest_that_says_another_config_has_another_fingerprint(copy: FolderStore) -> None:
    """Even one whose seal was made anew."""
    key = next(iter(_keys(copy, ["manifests"])))
    record = unsealed(copy.read(key), key)
    (copy.root / key).write_bytes(sealed({**record, "version": 4}))
    (name,) = [name for name, wrong in verify_store(copy).complaints.items() if wrong]
    assert name == f"spell/{record['fingerprint']}"
    assert "make the fingerprint" in verify_store(copy).complaints[name][0]


def test_readers_refuse_a_damaged_record(copy: FolderStore) -> None:
    artifact = resolve(copy, "words/demo")
    for kind, read in (
        ("manifests", lambda key: Manifest.read(copy, key)),
        ("refs", lambda key: resolve(copy, "words/demo")),
        ("amendments", lambda key: Artifact.open(copy, "spell", key.split("/")[2])),
    ):
        key = next(iter(_keys(copy, [kind])))
        flip(copy.root / key, random.Random(1))
        with pytest.raises(DamagedError, match="restore it from a copy"):
            read(key)
    assert artifact.verify() == []


def test_a_part_whose_record_is_damaged_is_made_again(copy: FolderStore) -> None:
    (key,) = [one for one in _keys(copy, ["parts"]) if b'"unfinished"' in copy.read(one)]
    flip(copy.root / key, random.Random(2))
    out = Output(copy, "spell", 3, {}, "ab" * 32, Silent())
    part = out.part("unfinished", ["three"], lambda folder: _write(folder, "three"))
    assert not part.cached
    assert "made again" in out.warnings[0]
    assert verify_store(copy).damaged == 0
    assert out.part("unfinished", ["three"], lambda folder: _write(folder, "three")).cached
    out.close()


def test_a_record_of_a_version_before_seals_says_so() -> None:
    with pytest.raises(DamagedError, match=r"of a version before seals; .* begin a new store"):
        unsealed(b'{"fingerprint": "ab"}', "manifests/spell/ab.json")


def _keys(store: FolderStore, prefixes: "list[str] | tuple[str, ...]") -> list[str]:
    return [listed.key for prefix in prefixes for listed in store.list(prefix)]
