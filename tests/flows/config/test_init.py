"""The YAML that `sdflow init` writes: whatever a source is called, it reads back as what was guessed."""

import dataclasses
import tempfile
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.config.file import read_run
from flows.config.init import first_config
from stages.collect.sources.inspect import SourceGuess
from stages.config.collect import CollectConfig, FolderSource, ParquetSource, TarSource, UrlSource
from stages.config.run import Run

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
SEVERAL = st.lists(WORDS, max_size=3).map(tuple)
FILES = st.lists(WORDS, min_size=1, max_size=3).map(tuple)
WHY = st.dictionaries(st.sampled_from(["url_column", "caption_columns", "columns", "allow_networks"]), WORDS)
SOURCES = st.one_of(
    st.builds(
        UrlSource, name=WORDS, tables=FILES, url_column=WORDS, caption_columns=SEVERAL, columns=SEVERAL
    ),
    st.builds(ParquetSource, name=WORDS, tables=FILES, image_column=WORDS, licence_column=WORDS),
    st.builds(FolderSource, name=WORDS, folder=WORDS, caption_column=WORDS),
    st.builds(TarSource, name=WORDS, tars=FILES),
)
KINDS = {UrlSource: "urls", ParquetSource: "parquets", FolderSource: "folders", TarSource: "tars"}


def written(guesses: list[SourceGuess]) -> tuple[str, Run]:
    text = first_config("birds", guesses, "a b.yaml")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.yaml")
        path.write_text(text, encoding="utf-8")
        return text, read_run(path)


@settings(max_examples=40, deadline=None)
@example([(UrlSource(name="\x85", tables=("a\u2028b: #",)), "\x85x: [", {})])  # line ends to YAML
@given(
    st.lists(st.tuples(SOURCES, WORDS, WHY), min_size=1, max_size=4, unique_by=lambda guess: guess[0].name)
)
def test_it_reads_back_as_what_was_guessed(told: list[tuple[UrlSource, str, dict[str, str]]]) -> None:
    guesses = [SourceGuess(source, KINDS[type(source)], saw, why) for source, saw, why in told]
    _, run = written(guesses)
    groups = {kind: tuple(guess.source for guess in guesses if guess.kind == kind) for kind in KINDS.values()}
    assert run == Run(name="birds", collect=CollectConfig(**groups))  # pyright: ignore


def test_what_is_commented_out_is_every_default() -> None:
    source = UrlSource(name="web", tables=("t.csv",))
    text, run = written(
        [SourceGuess(source, "urls", "One file.", {"url_column": "By its name.", "columns": "None."})]
    )
    lines = [
        line.replace("# ", "", 1) if line.strip().endswith(_values()) else line for line in text.splitlines()
    ]
    assert lines != text.splitlines()
    uncommented = yaml.safe_load("\n".join(line for line in lines if not line.strip().startswith("#")))
    for key in dataclasses.fields(CollectConfig):
        if key.name not in ("urls", "folders", "tars", "parquets"):
            default = list(key.default) if isinstance(key.default, tuple) else key.default
            assert uncommented["collect"][key.name] == default
    (told,) = uncommented["collect"]["urls"]
    assert set(told) == {key.name for key in dataclasses.fields(UrlSource)}
    assert run.collect.urls == (source,)


def _values() -> tuple[str, ...]:
    """How the lines end that hold a key and its default."""
    owners = (UrlSource(name="web", tables=("t.csv",)), CollectConfig())
    return tuple(
        f"# {key.name}: "
        + yaml.safe_dump(
            [list(value) if isinstance(value, tuple) else value], default_flow_style=True, width=999
        ).strip()[1:-1]
        for owner in owners
        for key in dataclasses.fields(owner)
        for value in [getattr(owner, key.name)]
    )
