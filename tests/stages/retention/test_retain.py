import uuid
from datetime import timedelta

import pytest

from stages.artifacts.amendment import Replacement, amend
from stages.artifacts.approval import approvals
from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.gc import collect_garbage
from stages.artifacts.lease import acquire
from stages.artifacts.reference import approve, names, refer, references, resolve
from stages.artifacts.tombstone import tombstones
from stages.artifacts.verification import last_verification, verify_and_record
from stages.config.retention import RetainConfig
from stages.retention.outcome import Retained
from stages.retention.retain import retain
from stages.store import Store, open_store
from stages.verify import verify_store
from tests.stages.retention.birds import (
    Seed,
    collect,
    dataset_of,
    encode,
    evaluate,
    images_of,
    model_of,
    refreshed,
    select,
    shard,
    train,
)

NOW = timedelta(0)
DATASETS = ["datasets/birds"]


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}")


def drop(store: Store, last: int, *others: str, **options) -> Retained:
    return retain(store, [*DATASETS, *others], RetainConfig(last=last), grace=NOW, watch=0, **options)


def numbers(store: Store, name: str) -> list[int]:
    return [entry.number for entry in references(store, name)]


def there(store: Store) -> set[str]:
    return {f"{artifact.stage}/{artifact.fingerprint}" for artifact in artifacts(store)}


def node(artifact: Artifact) -> str:
    return f"{artifact.stage}/{artifact.fingerprint}"


def check_consistent(store: Store) -> None:
    """Nothing is damaged, everything that anything needs is there, and every lineage can be read."""
    verification = verify_store(store)
    assert verification.damaged == 0, verification.complaints
    for artifact in artifacts(store):
        for name, recorded in artifact.manifest.inputs.items():
            parent = artifact.input(name)
            assert (parent is None) == (not recorded)
            if parent is not None and artifact.kind not in ("model", "evaluation", "images"):
                assert parent.dropped is None, (artifact.short_name, name)
        list(artifact.ancestors())


def test_versions_go_with_what_only_they_were_made_of_and_what_the_rest_needs_stays(store: Store):
    made = refreshed(store, 5)
    before = there(store)
    remaining = [artifact for dataset in made[3:] for artifact in [dataset, *dataset.ancestors()]]
    needed = {node(artifact) for artifact in remaining if artifact.kind != "images"}
    needed |= {node(dataset.input("images")) for dataset in made[3:]}
    retained = drop(store, 2)
    assert there(store) == needed
    assert len(retained.artifacts) == len(before) - len(needed) == 3 * 4
    assert numbers(store, "datasets/birds") == numbers(store, "images/birds") == [4, 5]
    assert [(version.reference, version.stays) for version in retained.versions] == [
        (f"{name}/birds@{number}", number > 3) for name in ("datasets", "images") for number in range(1, 6)
    ]
    swept = collect_garbage(store, grace=NOW)
    assert (swept.files, swept.bytes) == (retained.files, retained.bytes) != (0, 0)
    check_consistent(store)
    # An edition's input is named still, and what that was made of is nobody's any more.
    assert [tombstone.references for tombstone in tombstones(store)] == [("images/birds@3",)]
    assert retained.tombstones == 1
    # Numbers go on.
    dataset_of(store, images_of(store, 6, resolve(store, "images/birds")))
    assert numbers(store, "datasets/birds") == [4, 5, 6]


def test_a_dry_run_says_what_the_real_one_does_and_changes_nothing(store: Store):
    made = refreshed(store, 4)
    model_of(store, made[0])
    before = [(listed.key, listed.size) for listed in store.list("")]
    planned = drop(open_store(store.url, writable=False), 1, dry_run=True)
    assert [(listed.key, listed.size) for listed in store.list("")] == before
    assert planned == drop(store, 1)
    assert planned.uses == ("models/birds@1 learned from datasets/birds@1: its name stays",)


def test_a_model_outlives_its_dataset_and_keeps_its_lineage(store: Store):
    made = refreshed(store, 4)
    autoencoder = model_of(store, made[0], name="autoencoder")
    latents = encode(made[1], autoencoder, Seed(), store=store)
    model = model_of(store, made[1], autoencoder, latents)
    evaluation = evaluate(model, made[1], Seed(), store=store)
    refer(store, "evaluations/birds", evaluation)
    lineage = {node(artifact) for artifact in evaluation.ancestors()}
    drop(store, 1)
    collect_garbage(store, grace=NOW)
    check_consistent(store)
    stays = there(store)
    assert {node(model), node(autoencoder), node(evaluation)} <= stays
    assert not {node(latents), node(made[0]), node(made[1])} & stays
    model, evaluation = resolve(store, "models/birds"), resolve(store, "evaluations/birds")
    dataset = model.input("dataset")
    assert dataset is not None
    assert dataset.dropped is not None
    assert dataset.digest == made[1].digest
    assert dataset.funnel == made[1].funnel
    assert dataset.dropped.references == ("datasets/birds@2",)
    assert {node(artifact) for artifact in evaluation.ancestors()} == lineage
    assert model.read("model/weights")
    assert evaluation.read("report.md")
    with pytest.raises(ValueError, match=r"datasets/birds@2 was dropped on \S+ by retention of "):
        dataset.read("shards/0.tar")
    # With the model go the tombstones.
    newest = model_of(store, resolve(store, "datasets/birds"))
    drop(store, 1, "models/birds", "evaluations/birds")
    assert node(evaluation) in there(store)  # the newest of its name, which needs its model
    refer(store, "evaluations/birds", evaluate(newest, resolve(store, "datasets/birds"), Seed(), store=store))
    drop(store, 1, "models/birds", "evaluations/birds", "models/autoencoder")
    assert node(model) not in there(store)
    assert {str(tombstone.manifest.stage) for tombstone in tombstones(store)} == {
        *("collect", "dedup", "filter", "shard")  # the autoencoder's
    }
    check_consistent(store)


def test_what_a_dropped_name_meant_is_said(store: Store):
    made = refreshed(store, 3)
    model_of(store, made[0])
    drop(store, 1)
    with pytest.raises(ValueError, match=r"datasets/birds@1 was dropped on \S+ by .*last 1.*has 3"):
        resolve(store, "datasets/birds@1")
    with pytest.raises(ValueError, match=r"no entry '2'; it has 3: others were dropped"):
        resolve(store, "datasets/birds@2")
    with pytest.raises(ValueError, match="was dropped on"):
        resolve(store, f"shard/{made[0].fingerprint[:12]}")
    for text in ("datasets/birds@1", made[0].fingerprint[:8], f"shard/{made[0].digest[:12]}"):
        known = resolve(store, text, dropped=True)
        assert known.dropped is not None
        assert known.fingerprint == made[0].fingerprint
        assert known.dropped.files == 1
    assert resolve(store, "datasets/birds", dropped=True).dropped is None


def test_a_dropped_request_is_made_again_and_dropped_again(store: Store):
    made = refreshed(store, 3)
    model = model_of(store, made[0])
    images = made[0].input("images")
    drop(store, 1)
    collect_garbage(store, grace=NOW)
    again = collect(None, Seed(seed=1), store=store)
    assert not again.cached
    assert again.fingerprint == images.fingerprint
    assert again.digest == images.digest
    dataset = dataset_of(store, images_of(store, 1, None))
    assert dataset.fingerprint == made[0].fingerprint
    assert model.input("dataset").dropped is None
    assert resolve(store, "datasets/birds").fingerprint == dataset.fingerprint
    check_consistent(store)
    drop(store, 1)  # the tombstones of what is there again go
    assert {tombstone.manifest.fingerprint for tombstone in tombstones(store)} == set()
    check_consistent(store)
    images_of(store, 9, None)
    dataset_of(store, images_of(store, 9, None))
    drop(store, 1)
    assert model.input("dataset").dropped.references == ("datasets/birds@4",)
    check_consistent(store)


def test_what_was_made_again_with_another_digest_is_not_taken_for_what_was_there(store: Store):
    made = refreshed(store, 2)
    model = model_of(store, made[0])
    drop(store, 1)

    # As a collection is, whose sites have changed.
    other = type(shard)(lambda images, selection, config, out: _other(out), "shard", 1, "dataset")
    images = collect(None, Seed(seed=1), store=store)
    dataset = dataset_of(store, images, name="elsewhere")
    assert dataset.digest == made[0].digest
    store.delete([f"manifests/shard/{dataset.fingerprint}.json"])
    other.inputs = shard.inputs
    remade = other(images, dataset.input("selection"), Seed(), store=store)
    assert remade.fingerprint == made[0].fingerprint
    assert remade.digest != made[0].digest
    before = model.input("dataset")
    assert before.dropped is not None
    assert before.digest == made[0].digest
    # By its fingerprint it is what is there, by the digest what was.
    assert resolve(store, remade.fingerprint[:12], dropped=True).dropped is None
    assert resolve(store, before.digest[:12], dropped=True).dropped is not None


def _other(out):
    from stages.artifacts.artifact import Funnel
    from stages.stage import Stats

    out.write("shards/0.tar").write_bytes(b"others")
    return Stats(Funnel(2, 2))


def test_what_another_name_needs_stays(store: Store):
    made = refreshed(store, 3)
    refer(store, "datasets/gold", made[0])
    images = made[1].input("images")
    other = select(images, made[1].input("selection").input("duplicates"), Seed(seed=7), store=store)
    refer(store, "datasets/variant", shard(images, other, Seed(), store=store))
    retained = drop(store, 1)
    by_name = {version.reference: version for version in retained.versions}
    assert by_name["datasets/birds@1"].why.endswith("its artifact stays, which datasets/gold@1 needs")
    assert by_name["images/birds@1"].stays
    assert by_name["images/birds@2"].stays
    assert node(made[0]) in there(store)
    assert node(made[1]) not in there(store)
    assert node(other) in there(store)
    assert numbers(store, "datasets/birds") == [3]
    check_consistent(store)
    assert resolve(store, "datasets/gold").read("shards/0.tar")


def test_what_nobody_names_and_has_nothing_to_do_with_it_stays(store: Store):
    made = refreshed(store, 3)
    elsewhere = collect(None, Seed(seed=50), store=store)
    tried = train(made[0], None, None, Seed(seed=3), store=store)
    drop(store, 1)
    assert {node(elsewhere), node(tried)} <= there(store)
    assert tried.input("dataset").dropped is not None
    check_consistent(store)


def test_collections_that_never_became_a_version_go_but_for_the_newest(store: Store):
    (dataset,) = refreshed(store, 1)
    previous = dataset.input("images")
    for seed in range(2, 7):
        previous = images_of(store, seed, previous)
    drop(store, 1)
    assert numbers(store, "images/birds") == [1, 6]
    check_consistent(store)


def test_what_somebody_reads_stays_with_its_ancestors(store: Store):
    made = refreshed(store, 4)
    lease = acquire(store, "train", "1" * 64, lambda holder: False, reads=[node(made[0])])
    assert lease is not None
    with lease:
        retained = drop(store, 1)
        assert numbers(store, "datasets/birds") == [1, 4]
        assert "read: train is at work" in retained.versions[0].why
        assert made[0].input("selection").dropped is None
        assert made[0].input("images").dropped is None
    drop(store, 1)
    assert numbers(store, "datasets/birds") == [4]
    check_consistent(store)


def test_what_was_published_within_the_hour_stays(store: Store):
    refreshed(store, 3)
    retain(store, DATASETS, RetainConfig(last=1), watch=0)
    assert numbers(store, "datasets/birds") == [1, 2, 3]


def test_versions_on_hold_and_their_approvals(store: Store):
    made = refreshed(store, 2)
    refer(store, "datasets/birds", made[0], {"on_hold": ["too few"]})  # 3
    approve(store, "datasets/birds@3", why="I looked", by="me")
    refer(store, "datasets/birds", made[1])  # 4
    refer(store, "datasets/birds", made[0], {"on_hold": ["too few"]})  # 5
    drop(store, 1)
    assert numbers(store, "datasets/birds") == [4, 5]
    assert approvals(store, "datasets/birds") == {}
    assert resolve(store, "datasets/birds").fingerprint == made[1].fingerprint
    check_consistent(store)


def test_what_was_announced_is_remembered_as_far_as_it_is_there(store: Store):
    for number, dataset in enumerate(refreshed(store, 4), 1):
        refer(store, "announced/datasets/birds", dataset)
        assert number == len(numbers(store, "announced/datasets/birds"))
    drop(store, 1)
    assert numbers(store, "announced/datasets/birds") == [4]
    check_consistent(store)


def test_amendments_of_what_goes_go(store: Store):
    made = refreshed(store, 2)
    old = made[0].entry("shards/0.tar")
    key = "files/purge/00000001/0/0.tar"
    (store.scratch() / "0.tar").write_bytes(bytes(old.size))
    store.put(key, store.scratch() / "0.tar")
    change = Replacement("shards/0.tar", key, old.size, store.sha256(key), old.key, old.sha256)
    amend(store, "shard", made[0].fingerprint, [change], "take-down 1", 1)
    drop(store, 1)
    assert list(store.list("amendments")) == []
    collect_garbage(store, grace=NOW)
    assert not store.exists(key)
    check_consistent(store)


@pytest.mark.parametrize("folder", ["manifests", "refs", "tombstones", "amendments"])
def test_with_a_record_that_cannot_be_read_nothing_is_dropped(store: Store, folder: str):
    made = refreshed(store, 3)
    amend(store, "shard", made[1].fingerprint, [], "take-down 1", 1)
    model_of(store, made[0])
    drop(store, 2)
    key = next(iter(store.list(folder))).key
    store.delete([key])
    store.create(key, b"{}")
    before = {listed.key for listed in store.list("")}
    retained = drop(store, 1)
    assert any(key in words for words in retained.damaged)
    assert {listed.key for listed in store.list("")} - before <= {"leases/retention/all/00000004.json"}
    assert before - {listed.key for listed in store.list("")} <= {"leases/retention/all/00000002.json"}


def test_a_name_without_versions_and_a_rule_that_drops_nothing_are_refused(store: Store):
    refreshed(store, 1)
    with pytest.raises(ValueError, match="'datasets/dogs' is no name with versions"):
        retain(store, ["datasets/dogs"], RetainConfig(last=1))
    with pytest.raises(ValueError, match="last=0 keeps every version"):
        retain(store, DATASETS, RetainConfig())
    assert names(store) == ["datasets/birds", "images/birds"]


def test_results_of_verification_go_with_what_they_are_of(store: Store):
    made = refreshed(store, 3)
    for dataset in made:
        verify_and_record(dataset)
    drop(store, 1)
    left = [last_verification(store, dataset.stage, dataset.fingerprint) is not None for dataset in made]
    assert left == [False, False, True]
