"""The stage cluster: a dataset's pictures by what a text encoder says of their captions."""

import dataclasses
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sdmodel.config.text import TextConfig
from sdmodel.text import build
from stages import demo
from stages.artifacts.artifact import Artifact, Funnel
from stages.cluster import cluster
from stages.config.cluster import ClusterConfig
from stages.config.run import ShardConfig
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store, open_store

ROWS = 60
CONFIG = ClusterConfig(clusters=4, seeds=2)
COLOURS, FORMS = ("red", "green", "blue"), ("circle", "star")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("cluster") / "store"))


def dataset_of(store: Store, captions: list[list[str]], **columns: list[object]) -> Artifact:
    """An index, without pictures: every third six of rows is for validation."""

    @stage(version=1, kind="dataset", name="shard")
    def handmade(config: ShardConfig, out: Output) -> Stats:
        rows = len(captions)
        table = {
            "uid": [f"{row:03d}" for row in range(rows)],
            "split": ["validation" if row // 6 % 3 == 2 else "train" for row in range(rows)],
            "captions": [[{"text": one} for one in some] for some in captions],
            **columns,
        }
        pq.write_table(pa.table(table), out.write("index.parquet"))
        return Stats(Funnel(rows, rows))

    number = len(list(store.list("manifests")))  # each is another request
    return handmade(ShardConfig(shard_rows=number + 1), store=store)


@pytest.fixture(scope="module")
def dataset(store: Store) -> Artifact:
    """Two captions a picture that say the same; some pictures have no form."""
    colours, forms = [COLOURS[row % 3] for row in range(ROWS)], [FORMS[row // 3 % 2] for row in range(ROWS)]
    said = [[f"a {colour} {form}", f"{form}, {colour}"] for colour, form in zip(colours, forms, strict=True)]
    kinds = [None if row < 6 else forms[row] for row in range(ROWS)]
    return dataset_of(store, said, form=kinds, colour=colours, tags=[[one] for one in forms])


def words_of(store: Store, folder: str = "model", kind: str = "transformer") -> Artifact:
    """A model with an encoder that looks at words; untrained, it tells captions apart by them."""

    @stage(version=1, kind="model", name="train")
    def untrained(config: TextConfig, out: Output) -> Stats:
        torch.manual_seed(0)
        learned = build.learn(config, [f"a {colour} {form}" for colour in COLOURS for form in FORMS])
        weights = {key: value.contiguous() for key, value in learned.state_dict().items()}
        learned.save(out.write(f"{folder}/any").parent, weights)
        return Stats(Funnel(0, 0), {"folder": folder})

    shape = TextConfig(kind=kind, width=16, heads=2, tokens="words", length=8 + len(folder))  # pyright: ignore
    return untrained(shape, store=store)


@pytest.fixture(scope="module")
def words(store: Store) -> Artifact:
    return words_of(store)


def labels(made: Artifact) -> dict[str, str]:
    table = made.table("clusters")
    return dict(zip(table["uid"], table["cluster"], strict=True))


def test_captions_that_say_the_same_are_together(store: Store, dataset: Artifact, words: Artifact):
    config = dataclasses.replace(CONFIG, clusters=6, column="colour")
    made = cluster(dataset, words, config, store=store)
    assert (made.kind, made.funnel, made.verify()) == ("clusters", Funnel(ROWS, ROWS), [])
    found = labels(made)
    assert len(found) == ROWS
    # Six captions, six clusters: pictures with the same caption have one, whatever their split.
    assert set(found.values()) == {f"{n:02d}" for n in range(6)}
    for row in range(ROWS - 6):
        assert found[f"{row:03d}"] == found[f"{row + 6:03d}"]

    said = made.statistics
    assert (said["purity"], said["purity_constant"]) == (1, pytest.approx(1 / 3, abs=1e-3))
    assert (said["stability_seeds"], said["stability_half"]) == (1, 1)
    assert said["inertia"] == pytest.approx(0, abs=1e-6)
    assert said["explained"] == pytest.approx(1, abs=1e-4)
    assert sum(said["sizes"]) == 42  # of the train split
    assert sorted(said["sizes"], reverse=True) == said["sizes"]
    told = {frozenset(one[:2]) for one in said["words"]}
    assert told == {frozenset((colour, form)) for colour in COLOURS for form in FORMS}
    assert made.read("clusters.png").startswith(b"\x89PNG")
    assert "warnings" not in said
    assert cluster(dataset, words, config, store=store).cached


def test_purity_is_of_the_rows_that_have_a_class(store: Store, dataset: Artifact, words: Artifact):
    assert cluster(dataset, words, CONFIG, store=store).statistics["purity"] is None
    said = cluster(dataset, words, dataclasses.replace(CONFIG, column="form"), store=store).statistics
    assert 0.5 <= said["purity_constant"] <= said["purity"] <= 1


def test_a_text_to_image_model_brings_its_first_encoder(store: Store, dataset: Artifact):
    made = cluster(dataset, words_of(store, "model/text/0"), CONFIG, store=store)
    assert len(labels(made)) == ROWS


@pytest.mark.parametrize(
    ("values", "words_said"),
    [
        ({"column": "size"}, ["no column 'size'", "colour", "shard.columns"]),
        ({"column": "tags"}, ["'tags' holds list", "one class"]),
        ({"clusters": 43}, ["42 pictures", "clusters=43"]),
        ({"clusters": 7}, ["tells 6 captions", "clusters=7"]),
    ],
)
def test_a_mistake_is_named(
    store: Store, dataset: Artifact, words: Artifact, values: dict[str, object], words_said: list[str]
):
    with pytest.raises(ValueError, match="cluster: ") as error:
        cluster(dataset, words, dataclasses.replace(CONFIG, **values), store=store)  # pyright: ignore
    assert all(one in str(error.value) for one in words_said)


def test_numbers_out_of_range_are_named():
    with pytest.raises(ValueError, match="seeds=1 must be at least 2"):
        ClusterConfig(seeds=1)


@pytest.mark.slow  # transformers takes seconds to import
def test_a_clip_is_an_encoder_too(store: Store, dataset: Artifact):
    shipped = Path(demo.__file__).parent / "clip"

    @stage(version=1, kind="model", name="train")
    def contrastive(config: ShardConfig, out: Output) -> Stats:
        for file in shipped.iterdir():
            shutil.copyfile(file, out.write(f"model/{file.name}"))
        return Stats(Funnel(0, 0))

    config = dataclasses.replace(CONFIG, clusters=6, column="form")
    said = cluster(dataset, contrastive(ShardConfig(), store=store), config, store=store).statistics
    assert said["purity"] == 1
    assert said["explained"] > 0.99


def test_a_picture_without_captions_has_a_cluster(store: Store, words: Artifact):
    said = [[], ["a red star"], ["a green circle"]] * 4
    found = labels(cluster(dataset_of(store, said), words, ClusterConfig(clusters=2, seeds=2), store=store))
    assert len({found[f"{row:03d}"] for row in range(0, 12, 3)}) == 1


def test_a_model_without_words_is_no_encoder(store: Store, dataset: Artifact):
    @stage(version=1, kind="model", name="train")
    def mute(config: ShardConfig, out: Output) -> Stats:
        out.write("model/config.json").write_text('{"kind": "selfsupervised"}')
        return Stats(Funnel(0, 0))

    with pytest.raises(ValueError, match="has no text encoder of its own"):
        cluster(dataset, mute(ShardConfig(test=0.5), store=store), CONFIG, store=store)


def test_captions_that_the_encoder_cuts_are_said(store: Store, words: Artifact):
    said = [[f"a {COLOURS[row % 3]} {FORMS[row % 2]}"] for row in range(12)]
    long = dataset_of(store, [*said[:11], ["a red square " * 9]])
    (told,) = cluster(long, words, CONFIG, store=store).statistics["warnings"]
    # Equal captions are read once.
    assert told.startswith(
        "14.3% of 7 captions have more than the 13 tokens that are read of one, and are cut"
    )
