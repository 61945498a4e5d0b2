"""Links of the pages lead somewhere, and the files, modules and tests that they name exist."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("stages", "flows", "sdmodel", "tests", "docs", "benchmarks", "examples", "requirements")
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")))
    if path.suffix in (".md", ".ipynb", ".py")
    and not any(part[0] == "." for part in path.parts[len(ROOT.parts) :])
)
PAGES = [name for name in FILES if name.endswith((".md", ".ipynb"))]
DATED = ("docs/LOG.md",)
"""These name files as they were."""
GUIDED = {"sdmodel/text/deepset.py", "stages/thumbs.py"}
"""Files that the reader of a guide writes."""
ELSEWHERE = {*GUIDED, "examples/text_to_image/train_text_to_image.py"}
"""Besides these, a file of diffusers'."""
ANY = re.compile(r"\b(NAME|KIND)\b")
"""These words stand for any name."""

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HTML = re.compile(r"<(?:a|img)\b[^>]*\b(?:href|src)=\"([^\"]+)\"")
HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)? *$", re.MULTILINE)
NAMED = re.compile(r"<\w+\b[^>]*\b(?:id|name)=\"([^\"]+)\"")
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)((?:::\w+)*)`")
BARE = re.compile(r"`(\w+\.py)`")
MODULE = re.compile(r"`((?:stages|flows|sdmodel|tests)(?:\.\w+)+)`")


def text_of(name: str) -> str:
    """This is a page as Markdown; of a notebook its cells of Markdown, and of a source all of it."""
    text = (ROOT / name).read_text()
    if not name.endswith(".ipynb"):
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def slugs(name: str) -> set[str]:
    """These are the anchors of a page, as GitHub makes them of headings."""
    page = FENCE.sub("", text_of(name))
    anchors = set(NAMED.findall(page))
    for heading in HEADING.findall(page):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while (unique := f"{slug}-{number}" if number else slug) in anchors:
            number += 1
        anchors.add(unique)
    return anchors


def fault_of_link(page: str, link: str) -> str:
    """This says what is wrong with a page's link; nothing where it leads somewhere or to the web."""
    if re.match(r"[a-z][a-z0-9+.-]*:", link):
        return ""
    path, _, anchor = link.partition("#")
    target = ((ROOT / page).parent / unquote(path)).resolve() if path else ROOT / page
    if not target.is_relative_to(ROOT) or not target.exists():
        return f"{page}: {link} leads to no file"
    if anchor and (
        target.suffix not in (".md", ".ipynb") or anchor not in slugs(str(target.relative_to(ROOT)))
    ):
        return f"{page}: {link} leads to no heading"
    return ""


def fault_of_path(page: str, path: str, tests: str) -> str:
    """This says what is wrong with a path in backticks, and a test behind "::"; nothing where it exists."""
    if path in ELSEWHERE or ANY.search(path):
        return ""
    if not (ROOT / path).exists():
        return f"{page}: there is no {path}"
    source = (ROOT / path).read_text() if tests else ""
    missing = [test for test in tests.split("::")[1:] if not re.search(rf"(def|class) {test}\b", source)]
    return f"{page}: there is no {', '.join(missing)} in {path}" if missing else ""


def fault_of_module(page: str, dotted: str) -> str:
    """This says what is wrong with a name of a module or of a thing in it; nothing where it exists."""
    if ANY.search(dotted):
        return ""
    path, names = ROOT, dotted.split(".")
    while names and (path / names[0]).is_dir():
        path /= names.pop(0)
    if names and (path / f"{names[0]}.py").is_file():
        path /= f"{names.pop(0)}.py"
    module = path / "__init__.py" if path.is_dir() else path
    if not names or (module.is_file() and re.search(rf"\b{names[0]}\b", module.read_text())):
        return ""
    return f"{page}: there is no {dotted}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str):
    text = CODE.sub("", FENCE.sub("", text_of(page)))
    links = [inline or below for inline, below in LINK.findall(text)] + HTML.findall(text)
    assert [fault for link in links if (fault := fault_of_link(page, link))] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page not in DATED])
def test_every_path_on_a_page_exists(page: str):
    text = text_of(page)
    paths = [fault_of_path(page, path, tests) for path, tests in PATH.findall(text)]
    modules = [fault_of_module(page, dotted) for dotted in MODULE.findall(text)]
    names = {Path(name).name for name in FILES}
    bare = [f"{page}: no file is called {name}" for name in BARE.findall(text) if name not in names]
    assert [fault for fault in (*paths, *modules, *bare) if fault] == []


def test_every_path_in_a_docstring_or_comment_exists():
    sources = [name for name in FILES if name.endswith(".py")]
    faults: list[str] = []
    for name in sources:
        text = text_of(name)
        faults += [fault_of_path(name, path, tests) for path, tests in PATH.findall(text)]
        faults += [fault_of_module(name, dotted) for dotted in MODULE.findall(text)]
    assert [fault for fault in faults if fault] == []
