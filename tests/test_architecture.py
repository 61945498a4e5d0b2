"""The house rules that a program can check."""

import ast
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

from stages.reasons import Reason

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for package in ("flows", "dashboard", "stages", "sdmodel") for path in (ROOT / package).rglob("*.py")
)
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}
WORDLESS = {"found", "told", "said", "say", "tell", "held", "one", "kept", "asked", "wanted"}


def _script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


draw_architecture = _script(ROOT / "docs" / "draw_architecture.py")


def test_import_contracts_hold() -> None:
    """In a process of its own: import-linter's configuration of logging switches the loggers off that there
    are, and later tests would hear nothing of Prefect's."""
    words = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    program = (
        "import sys; from importlinter.cli import lint_imports_command; lint_imports_command(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout)


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


def test_a_folder_holds_at_most_25_files() -> None:
    """More say nothing of what belongs together."""
    files = Counter(path.parent.relative_to(ROOT).as_posix() for path in SOURCES)
    assert {folder: number for folder, number in files.items() if number > 25} == {}


def test_no_folder_imports_a_folder_that_imports_it() -> None:
    """What the picture of the house stands on, too; the modules at a package's top stand in no order."""
    _, imports = draw_architecture.folders()
    list(TopologicalSorter(draw_architecture.within_packages(imports)).static_order())


def test_a_class_name_stands_in_one_module() -> None:
    modules: dict[str, list[str]] = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                modules.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: places for name, places in modules.items() if len(places) > 1} == {}


def test_a_variable_says_what_it_holds() -> None:
    """Not how it got there: names that say nothing are nobody's."""
    names = {
        (path.relative_to(ROOT).as_posix(), name)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        for name in [
            node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            else node.arg if isinstance(node, ast.arg)
            else node.name if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else ""
        ]
        if name.strip("_").lower() in WORDLESS
    }  # fmt: skip
    assert names == set()


def test_a_function_holds_one_idea() -> None:
    """Its lines without signature and docstring, which some need at length."""
    functions = {
        (path.relative_to(ROOT).as_posix(), node.name): (node.end_lineno or 0) - _body(node).lineno + 1
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    assert {function: lines for function, lines in functions.items() if lines > 60} == {}


def _body(function: ast.FunctionDef) -> ast.stmt:
    return function.body[ast.get_docstring(function) is not None and len(function.body) > 1]


def test_the_picture_of_the_house_is_current() -> None:
    """`make docs` draws it."""
    assert (ROOT / "docs" / "architecture.svg").read_text() == draw_architecture.picture()
