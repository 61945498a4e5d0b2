"""The house rules that a program can check."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from stages.reasons import Reason

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for package in ("flows", "stages", "sdmodel") for path in (ROOT / package).rglob("*.py")
)


def test_import_contracts_hold(capsys: pytest.CaptureFixture[str]) -> None:
    code = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("folder", "below"),
    [("stages/collect/web", []), ("stages/collect/sources", ["stages.collect.web"])],
)
def test_a_folder_imports_nothing_of_the_package_around_it(folder: str, below: list[str]) -> None:
    """Whatever modules that package gets: a contract of import-linter would have to list them."""
    allowed = tuple(f"{name}." for name in [folder.replace("/", "."), *below])
    around = Path(folder).parent.as_posix().replace("/", ".")
    texts = [path.read_text() for path in SOURCES if path.is_relative_to(ROOT / folder)]
    assert texts
    imports = {name for text in texts for name in re.findall(r"(?m)^\s*(?:from|import) ([\w.]+)", text)}
    assert {name for name in imports if name.startswith(around) and not name.startswith(allowed)} == set()


@pytest.mark.slow  # Prefect takes seconds to import
def test_the_pipeline_is_imported_without_torch() -> None:
    """A deploy machine may lack it."""
    program = "import sys, flows.pipeline; print(*{'torch', 'open_clip', 'img2dataset'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_a_file_holds_one_idea() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in SOURCES}
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > 320} == {}


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "misc"])
def test_nothing_is_called_something(word: str) -> None:
    assert [path for path in SOURCES if word in path.relative_to(ROOT).parts or path.stem == word] == []


@pytest.mark.parametrize(
    "word",
    [
        r"import pickle|from pickle|\bdill\b|cloudpickle|joblib|\bshelve\b|\bmarshal\b",
        r"torch\.load\(|allow_pickle=True|weights_only=False|torch\.jit\.load|read_pickle",
        r"(gather|broadcast|scatter|send|recv)_object",  # they unpickle what other processes send
        r"multiprocessing\.(connection|managers)|from multiprocessing import Manager|forkserver",
        r"torch\.distributed\.(run|launch)|torchrun|env://|tcp://|TCPStore",
    ],
)
def test_nothing_is_unpickled_and_no_rendezvous_listens(word: str) -> None:
    """Pipes to workers of our own (stages/engine.py) are what docs/security.md names."""
    lines = [(path, line) for path in SOURCES for line in path.read_text().splitlines()]
    mine = {ROOT / "sdmodel/train/process/ranks.py"}  # says what is not used, and why
    assert [(path.name, line) for path, line in lines if re.search(word, line) and path not in mine] == []


def test_every_reason_is_given_by_some_stage() -> None:
    texts = [path.read_text() for path in SOURCES if path.name != "reasons.py"]
    given = {name for text in texts for name in re.findall(r"\bReason\.([A-Z_]+)\b", text)}
    assert {reason.name for reason in Reason} - given == set()
