"""The command line without Prefect: what it prints, what it refuses, and what it does not import."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.cli import HELP, app
from flows.run.local import result_of
from flows.run.terminal import Terminal
from flows.step import finished
from flows.steps import STEPS
from stages.artifacts.reference import resolve
from stages.config.run import Run
from stages.store import open_store

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, tiny_run: Callable[[Path], Run]) -> Run:
    """A run whose dataset is made."""
    run = tiny_run(tmp_path_factory.mktemp("filled") / "store")
    result_of(STEPS, "shard", run, Terminal(), upstream=True)
    return run


def test_no_option_is_offered_that_empties_another():
    """As cyclopts adds for options of several values (`--empty-interval`) where it is not told otherwise."""
    offered = {
        f"{name}: {option}"
        for name in app
        if not name.startswith("-")
        for argument in app[name].assemble_argument_collection()
        for option in argument.names
        if option.startswith("--empty-")
    }
    assert offered == set()


def test_ls_lists_references_and_artifacts(sdflow: Told, filled: Run):
    status, out, _ = sdflow("ls", "--store", filled.store)
    assert status == 0
    assert re.search(r"datasets/tiny@1 +shard/[0-9a-f]{12}", out)
    assert re.findall(r"^(collect|dedup|score|filter|shard)/", out, re.MULTILINE) == ["collect", "shard"]
    assert "3 results that no reference names are not shown (--all lists them)" in out
    data = json.loads(sdflow("ls", "--store", filled.store, "--all", "--json")[1])
    assert {one["name"] for one in data["references"]} == {"images/tiny", "datasets/tiny"}
    assert {one["stage"] for one in data["artifacts"]} == {"collect", "dedup", "score", "filter", "shard"}


def test_the_store_may_come_from_the_environment(sdflow: Told, filled: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SDFLOW_STORE", filled.store)
    assert "datasets/tiny@1" in sdflow("ls")[1]


def test_a_store_of_an_earlier_version_is_refused_in_one_line_by_every_command(sdflow: Told, tmp_path: Path):
    store, config = tmp_path / "store", tmp_path / "a.yaml"
    (store / "manifests" / "train").mkdir(parents=True)
    (store / "manifests" / "train" / "ab.json").write_text("{}")
    folder = f"{{name: a, folder: {tmp_path.as_posix()}}}"
    config.write_text(f"name: a\ncollect: {{folders: [{folder}]}}\n")
    for command in (
        *(["ls"], ["show", "models/a"], ["trace", "a.png"], ["gc"], ["verify"], ["export", "models/a", "x"]),
        *(["plan", config], ["stage", "train", config], ["run", config], ["collect", config, "--dry-run"]),
    ):
        status, _, error = sdflow(*command, "--store", store)
        assert status == 2, command
        assert "is of format 1, and this version reads and writes format 2: name a new store" in error
        assert len(error.splitlines()) == 1


def test_show_tells_funnel_inputs_and_files(sdflow: Told, filled: Run):
    _, out, _ = sdflow("show", "images/tiny@1", "--store", filled.store)
    assert "43 in, 41 out" in out
    assert "1 not_an_image" in out
    data = json.loads(sdflow("show", "images/tiny", "--store", filled.store, "--json")[1])
    assert data["funnel"] == {"rows_in": 43, "rows_out": 41, "reasons": {"not_an_image": 1, "too_small": 1}}


def test_trace_follows_a_row_down_to_where_it_was_left_out(sdflow: Told, filled: Run):
    def events(what: str) -> list[tuple[str, str]]:
        found: Any = json.loads(sdflow("trace", what, "--store", filled.store, "--json")[1])
        assert len(found["rows"]) == 1
        return [(one["stage"], one["what"]) for one in found["rows"][0]["events"]]

    assert events("001.png") == [
        ("collect", "collected"),
        ("dedup", "compared: kept"),
        ("filter", "selected"),
        ("shard", "packed"),
    ]
    assert events("dot.png") == [("collect", "left out")]
    rejects = finished(STEPS, "filter", filled, open_store(filled.store)).table("rejects")
    assert [stage for stage, _ in events(rejects["uid"][0][:12])] == ["collect", "dedup", "filter"]
    assert events(rejects["uid"][0])[2] == ("filter", "left out")
    status, out, _ = sdflow("trace", "001.png", "--store", filled.store)
    assert status == 0
    assert "captions a green square" in out
    assert "(datasets/tiny@1)" in out


def test_verify_finds_a_damaged_file(sdflow: Told, tmp_path: Path, tiny_run: Callable[[Path], Run]):
    run = tiny_run(tmp_path / "store")
    images = result_of(STEPS, "collect", run, Terminal())
    status, out, _ = sdflow("verify", "--store", run.store)
    assert status == 0
    assert re.fullmatch(r"1 artifacts with \d+ files and \d+ other records, 0 of them damaged\n", out)
    path = images.path("rejects.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    status, out, _ = sdflow("verify", "images/tiny", "--store", run.store)
    assert status == 1
    assert "rejects.parquet: should hash to" in out
    path.unlink()
    assert "rejects.parquet: missing" in sdflow("verify", "--store", run.store, "--json")[1]


def test_gc_counts_and_deletes_what_nobody_names(sdflow: Told, tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    store.create("files/x/attempt/left.bin", b"12345")
    dry = ("gc", "--store", store.url, "--older-than", "0s", "--json")
    assert json.loads(sdflow(*dry, "--dry-run")[1])["bytes"] == 5
    assert store.exists("files/x/attempt/left.bin")
    assert json.loads(sdflow(*dry)[1])["files"] == 1
    assert not store.exists("files/x/attempt/left.bin")


def test_stage_runs_one_stage_and_says_what_is_missing_before_it(
    sdflow: Told, tmp_path: Path, pictures: Path
):
    config = tmp_path / "run.yaml"
    config.write_text(f"name: one\ncollect: {{workers: 1, folders: [{{name: p, folder: {pictures}}}]}}\n")
    store = ("--store", str(tmp_path / "store"))
    status, _, error = sdflow("stage", "filter", str(config), *store)
    assert status == 2
    assert "collect is not finished for this config" in error
    assert "`sdflow stage collect`" in error
    status, out, _ = sdflow("stage", "collect", str(config), *store, "--json")
    assert status == 0
    assert json.loads(out)["cached"] is False
    assert json.loads(sdflow("stage", "collect", str(config), *store, "--json")[1])["cached"] is True
    status, out, _ = sdflow("stage", "score", str(config), *store)
    assert status == 0
    assert out.startswith("score/")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lss"], ['"lss"', '"ls"']),
        (["ls", "--stor", "x"], ["--stor"]),
        (["run"], ["CONFIG"]),
        (["run", "none.yaml"], ["none.yaml cannot be read"]),
        (["stage", "colect", "x.yaml"], ["colect", "collect"]),
        (["ls", "--store", "{tmp}/none"], ["there is no store at"]),
        (["ls", "--store", "ftp://x"], ["ftp://x", "s3://"]),
        (["show", "datasets/none", "--store", "{store}"], ["datasets/none", "datasets/tiny"]),
        (["show", "datasets/tiny@9", "--store", "{store}"], ["no entry '9'", "1 to 1"]),
        (["trace", "https://example.org/none.jpg", "--store", "{store}"], ["none.jpg", "no URL"]),
        (["generate", "datasets/tiny", "a", "--store", "{store}"], ["no text-to-image model but dataset"]),
        (["generate", "datasets/tiny", "--store", "{store}"], ["at least one caption"]),
        (["gc", "--older-than", "3 days", "--store", "{store}"], ["3 days", "12h"]),
    ],
)
def test_wrong_input_is_one_line_and_a_status(
    sdflow: Told,
    filled: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: list[str],
):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    status, out, error = sdflow(*(one.format(tmp=tmp_path, store=filled.store) for one in arguments))
    assert status == 2
    assert out == ""
    assert error.startswith("sdflow: ")
    assert len(error.splitlines()) == 1
    for word in words:
        assert word in error


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("name=Two Birds", ["Two Birds", "lower-case"]),
        ("name=''", ["name=''", "lower-case"]),
        (f"name={'a' * 300}", ["at most 200 long"]),
        ("store=ftp://x", ["ftp://x", "s3://"]),
        ("store=/dev/null/store", ["/dev/null/store cannot be made"]),
        ("train.start=models/none@latest", ["train.start='models/none@latest'", "no reference"]),
        ("train.start=Models/None", ["train.start='Models/None'"]),
        ("train.text.start=models/none", ["text.start='models/none'"]),
        ("train.text.start=datasets/tiny", ["text.start='datasets/tiny' is no text encoder"]),
        ("train.pretrain={{labels: 1, columns: [c], clusters: datasets/tiny}}", ["no table of clusters"]),
        ("encode.text=none", ["encode.text", "none"]),
        ("encode.text={folder}", ["encode.text", "holds no CLIPText"]),
        ("train.start={folder}", ["train.start", "unet/config.json"]),
    ],
)
def test_what_cannot_work_is_refused_before_prefect_starts(
    sdflow: Told, filled: Run, tmp_path: Path, pictures: Path, change: str, words: list[str]
):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: one\nstore: {filled.store}\ncollect: {{folders: [{{name: p, folder: {pictures}}}]}}\n"
    )
    status, out, error = sdflow("run", str(config), "--set", change.format(folder=tmp_path))
    assert (status, out) == (2, "")
    assert len(error.splitlines()) == 1
    for word in words:
        assert word in error
    assert "kept" not in error
    assert "Prefect" not in error


def test_a_store_is_refused_before_anything_is_drawn(sdflow: Told):
    status, _, error = sdflow("demo", "--store", "ftp://x")
    assert status == 2
    assert error.startswith("sdflow: unknown store 'ftp://x'")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("command", "promised"), [("ls", False), ("stage", True), ("run", True)])
def test_an_interrupt_promises_only_what_is_so(
    sdflow: Told, monkeypatch: pytest.MonkeyPatch, command: str, promised: bool
):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(app), "__call__", interrupt)
    status, _, error = sdflow(command)
    assert status == 130
    assert ("what is finished is kept" in error) == promised


def test_debug_shows_the_traceback(sdflow: Told):
    _, _, error = sdflow("--debug", "run", "none.yaml")
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("sdflow: config none.yaml")


@pytest.mark.parametrize(
    "command",
    [
        *("run", "stage", "demo", "ls", "show", "trace", "average", "generate", "export", "verify", "gc"),
        *("deploy", "undeploy"),
    ],
)
def test_help_teaches_with_examples(sdflow: Told, command: str):
    status, out, _ = sdflow(command, "--help")
    assert status == 0
    assert f" sdflow {command}" in out.split("Examples", 1)[1]


HEAVY = {
    "prefect",
    "torch",
    "open_clip",
    "img2dataset",
    "pandas",
    "pyarrow",
    "scipy",
    "transformers",
    "diffusers",
}
"""What takes long to import."""


def test_light_commands_import_nothing_that_takes_long(filled: Run):
    commands = [
        ["--help"],
        ["ls", "--store", filled.store],
        ["show", "images/tiny", "--store", filled.store],
        ["trace", "001.png", "--store", filled.store],
        ["gc", "--dry-run", "--store", filled.store],
    ]
    script = f"""
import sys
from flows.cli import main
for command in {commands!r}:
    try:
        main(command)
    except SystemExit as end:
        assert not end.code, command
    imported = {HEAVY!r} & {{name.partition('.')[0] for name in sys.modules}}
    assert not imported, (command, imported)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_command_imports_no_other_command(filled: Run):
    script = (
        "import sys\nfrom flows.cli import main\n"
        f"main(['ls', '--store', {filled.store!r}])\n"
        "print(*sorted(name for name in sys.modules if name.startswith('flows.cli.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = ["options", "store", "store.listing", "store.ls"]
    assert done.stderr.split() == [f"flows.cli.{module}" for module in modules]


def test_help_says_all_that_is_written(sdflow: Told):
    _, out, _ = sdflow("--help")
    words = " ".join(out.split())
    for sentence in (HELP.split("\n\n")[2], HELP.rsplit("```", 1)[1]):
        assert " ".join(sentence.replace("*", "").replace("`", "").split()) in words
    assert words.count("sdflow ") > 8


@pytest.mark.parametrize("command", [name for name in app if not name.startswith("-")])
def test_each_command_is_listed_and_helped_with_its_own_words(sdflow: Told, command: str):
    _, overview, _ = sdflow()
    summary, _, details = (app[command].default_command.__doc__ or "").partition("\n\n")
    listed = " ".join(overview.replace("│", " ").split())
    assert f"{command} {' '.join(summary.split())}" in listed
    _, out, _ = sdflow(command, "--help")
    words = " ".join(out.split())
    prose = [part for part in details.partition("**Examples**")[0].split("\n\n") if "```" not in part]
    for paragraph in (summary, *prose):
        assert " ".join(paragraph.replace("`", "").replace("*", "").split()) in words


@pytest.mark.slow
def test_a_stage_needs_no_prefect(filled: Run, tmp_path: Path, pictures: Path):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: tiny\nstore: {filled.store}\n"
        f"collect: {{workers: 1, part_rows: 20, folders: [{{name: p, folder: {pictures}}}]}}\n"
    )
    script = (
        "import sys\nfrom flows.cli import main\n"
        f"main(['stage', 'collect', {str(config)!r}])\nassert 'prefect' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert resolve(open_store(filled.store), "images/tiny")
