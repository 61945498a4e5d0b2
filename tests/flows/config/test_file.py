"""A config file becomes a Run, or one line that names the key, the value and what is allowed."""

import dataclasses
import re
from pathlib import Path

import pytest

from flows.config.file import read_run
from flows.config.renamed import RENAMED
from flows.config.values import run_of
from stages.config.run import Run, ShardConfig


def read(tmp_path: Path, text: str, *changes: str, store: str | None = None) -> Run:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return read_run(path, changes, store)


GOOD = """
name: birds
collect:
  folders:
    - {name: a, folder: /pictures}
  urls:
    - name: web
      tables: [a.csv, b.parquet]
train: {images: 100, unet: {channels: [8, 16]}}
"""


def test_nested_values_and_lists_are_read(tmp_path: Path):
    run = read(tmp_path, GOOD)
    assert run.collect.folders[0].folder == "/pictures"
    assert run.collect.urls[0].tables == ("a.csv", "b.parquet")
    assert run.train.unet.channels == (8, 16)
    assert run.filter == Run(name="x").filter


def test_set_changes_values_lists_and_missing_blocks(tmp_path: Path):
    run = read(
        tmp_path,
        GOOD,
        "filter.min_similarity=0.25",
        "score.model=ViT-B-32",
        "collect.folders.0.folder=/others",
        "train.unet.channels=[4, 8]",
        "collect.limit=null",
        store="elsewhere",
    )
    assert run.filter.min_similarity == 0.25
    assert run.collect.folders[0].folder == "/others"
    assert run.train.unet.channels == (4, 8)
    assert run.store == "elsewhere"


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("name: a\ntrian: {}", [], ["unknown key trian", "train"]),
        ("name: a\ntrain: {unet: {chanels: 3}}", [], ["train.unet.chanels", "channels"]),
        ("name: a\nfilter: {zzz: 3}", [], ["filter.zzz", "known: ", "max_aspect"]),
        ("name: a\ntrain: {objective: difusion}", [], ["train.objective", "'difusion'", "'diffusion'"]),
        (
            "name: a\nfilter: {min_words: many}",
            [],
            ["filter.min_words", "'many'", "a whole number", "Fewest"],
        ),
        ("name: a\nfilter: {min_words: 1.5}", [], ["filter.min_words", "1.5", "a whole number"]),
        ("name: a\nfilter: {min_similarity: x}", [], ["filter.min_similarity", "a number, or null"]),
        ("name: a\ncollect: {folders: [{name: a}]}", [], ["collect.folders.0.folder is missing", "folder"]),
        ("store: x", [], ["name is missing", "references"]),
        ("name: a\ncollect: {urls: web}", [], ["collect.urls", "'web'", "a list"]),
        ("name: a\ntrain: 3", [], ["train is 3", "a block of keys"]),
        ("- a", [], ["must be a block of keys"]),
        ("", [], ["must be a block of keys"]),
        ("name: [", [], ["no valid YAML", "line 1"]),
        ("name: a\nname: b", [], ["'name' comes twice", "line 2"]),
        ("name: a", ["filter.min_words"], ["KEY=VALUE"]),
        ("name: a", ["name.first=x"], ["name is 'a'", "no keys"]),
        ("name: a\ncollect: {tars: []}", ["collect.tars.0.name=x"], ["list of 0"]),
    ],
)
def test_a_mistake_names_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, changes: list[str], words: list[str]
):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        read(tmp_path, text, *changes)
    for word in words:
        assert word in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_mistake_is_told_at_once(tmp_path: Path):
    with pytest.raises(ValueError, match="2 mistakes") as caught:
        read(tmp_path, "name: a\nfilter: {min_words: x}\ntrain: {batch: y}")
    assert "filter.min_words" in str(caught.value)
    assert "train.batch" in str(caught.value)


def test_true_is_no_number(tmp_path: Path):
    changes = ["train.images=true", "filter.min_similarity=false", "train.unet.channels=[true, 8]"]
    with pytest.raises(ValueError, match="3 mistakes") as caught:
        read(tmp_path, "name: a", *changes, "score.model=x")
    assert "train.images is true; allowed: a whole number. Images to see" in str(caught.value)
    assert "train.unet.channels.0 is true; allowed: a whole number" in str(caught.value)


@pytest.mark.parametrize("ngrams", ["[3]", "[]", "[3, 4, 5]"])
def test_a_list_of_so_many_values_says_how_many(tmp_path: Path, ngrams: str):
    words = re.escape(f"train.text.ngrams={ngrams} must be 2 values; leave it out for [3, 5]") + "$"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, "name: a", f"train.text.ngrams={ngrams}")


def test_an_item_of_a_list_hides_no_other_mistake(tmp_path: Path):
    texts = "[{width: 0, kernels: [2]}, {width: 4, heads: 3}]"
    urls = "[{name: a, tables: []}, {name: b, tables: [b.csv], encoding: none}]"
    with pytest.raises(ValueError, match="5 mistakes") as caught:
        read(tmp_path, f"name: a\ncollect: {{urls: {urls}}}\ntrain: {{texts: {texts}}}")
    for words in (
        "texts.0.width=0 ",
        "texts.0.kernels=[2]",
        "texts.1.width=4, train.texts.1.heads=3",
        "urls.0.tables=[] ",
        "urls.1.encoding='none'",
    ):
        assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"none\.yaml cannot be read: No such file"):
        read_run(tmp_path / "none.yaml")


@pytest.mark.parametrize("edition", ["2", "2026-11-21", "2026-11-21T03:00:00Z", "nightly"])
def test_a_text_may_look_like_a_number_or_a_date(tmp_path: Path, edition: str):
    assert read(tmp_path, "name: a", f"collect.edition={edition}").collect.edition == edition
    assert read(tmp_path, f"name: a\ncollect:\n  edition: {edition}").collect.edition == edition


@pytest.mark.parametrize(("former", "present"), RENAMED.items())
def test_a_key_of_an_earlier_version_is_refused_with_its_present_name(
    tmp_path: Path, former: str, present: str
):
    words = rf"{former} is called {present} now"
    block, key = former.rsplit(".", 1)
    for text, *changes in (
        (f"name: a\n{block}: {{{key}: 1, batch: 0}}",),
        ("name: a", f"{former}=1", f"{block}.batch=0"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            read(tmp_path, text, *changes)
        assert f"{block}.batch" in str(error.value)  # beside what else is wrong
    default = Run(name="a")
    for key in present.split("."):
        default = getattr(default, key)  # the name is a key


@pytest.mark.parametrize("stage", ["score", "shard", "evaluate", "dedup"])
def test_a_run_has_one_background(tmp_path, stage):
    path = tmp_path / "run.yaml"
    path.write_text('name: a\nbackground: "#102030"\n')
    run = read_run(path)
    assert getattr(run, stage).background == run.background == "#102030"
    for text in ("#000000", "#ffffff"):
        with pytest.raises(ValueError, match=f"{stage}.background='{text}'.*`background`.*leave out a stage"):
            read_run(path, [f'{stage}.background="{text}"'])
    path.write_text(f'name: a\n{stage}: {{background: "#ffffff"}}\n')  # as configs had it
    with pytest.raises(ValueError, match="`background`"):
        read_run(path)
    with pytest.raises(ValueError, match=r"background='white' must be a colour like"):
        read_run(path, [f"{stage}={{}}", "background=white"])


def test_a_run_written_down_whole_reads_the_same(tmp_path):
    run = Run(name="a", background="#102030")
    assert run_of(dataclasses.asdict(run), "a run") == run
    with pytest.raises(ValueError, match=r"shard\.background='#000000'.*`background`"):
        Run(name="a", shard=ShardConfig(background="#000000"))


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [{place}]",
        "!!python/name:os.system",
        "!!python/object/new:os.system []",
    ],
)
def test_a_config_makes_no_objects_and_calls_nothing(tmp_path: Path, text: str):
    """Neither a file nor a change on the command line: YAML's tags for Python are unknown to the reader."""
    place = tmp_path / "made"
    value = text.format(place=place)
    config = tmp_path / "run.yaml"
    config.write_text(f"name: {value}\n")
    with pytest.raises(ValueError, match=r"no valid YAML: could not determine a constructor"):
        read_run(config)
    config.write_text("name: birds\n")
    with pytest.raises(ValueError, match=r"no valid YAML: could not determine a constructor"):
        read_run(config, [f"name={value}"])
    assert not place.exists()
