"""Draws `docs/architecture.svg` from the stage registry and the import graph; `make docs` runs it.

Above the line of stages with what each reads and makes; below the folders of the packages, those that
know more standing higher. An arrow means "imports"; arrows that follow from others are left out.
"""

import ast
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

import grimp

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checkout that this page lies in

from flows.steps import STEPS

ROOT = Path(__file__).parents[1]
PACKAGES = ("flows", "dashboard", "stages", "sdmodel")
DEEPER = ("stages.collect", "flows.cli")
"""Folders whose folders are drawn apart."""
WIDTH, BOX, GAP, STEP = 1240, (164, 50), (14, 30), (138, 44)
STYLE = """<style>
text{font-family:system-ui,sans-serif;font-size:12px;fill:#1f2933} .small{font-size:9.5px;fill:#52606d}
.head{font-size:15px;font-weight:600} .name{font-weight:600} path{fill:none;stroke:#9aa5b1;stroke-width:1}
.box{fill:#fff;stroke:#7b8794} .flows{fill:#eef6ff} .dashboard{fill:#f7f1fc}
.stages{fill:#f3faf3} .sdmodel{fill:#fff7ec}
</style><defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"
 orient="auto"><path d="M0,0L8,4L0,8" style="fill:#9aa5b1"/></marker></defs>"""


def folder_of(module: str, packages: frozenset[str]) -> str:
    """The drawn folder that a module stands in: its package, to the depth that is drawn."""
    parts = module.split(".") if module in packages else module.split(".")[:-1]
    depth = 3 if ".".join(parts[:2]) in DEEPER else 2
    return ".".join(parts[:depth])


def folders() -> tuple[dict[str, int], dict[str, set[str]]]:
    """Modules by folder, and the other folders that each imports."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    packages = frozenset(module for module in graph.modules if graph.find_children(module))
    modules: dict[str, int] = {}
    imports: dict[str, set[str]] = {}
    for module in sorted(graph.modules):
        folder = folder_of(module, packages)
        modules[folder] = modules.get(folder, 0) + (module not in packages)
        targets = {folder_of(name, packages) for name in graph.find_modules_directly_imported_by(module)}
        imports.setdefault(folder, set()).update(targets - {folder})
    return modules, imports


def ranks(imports: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """How high each folder stands: one above the highest that it imports, its package's own modules aside.

    Modules at the top of a package are its contract and its entrances at once, so that they stand in a row of
    their own and order nothing.
    """
    below = within_packages(imports)
    heights = dict.fromkeys(PACKAGES, 0)
    for folder in TopologicalSorter(below).static_order():  # CycleError: folders import each other
        heights[folder] = 1 + max((heights[name] for name in below[folder]), default=0)
    return heights


def within_packages(imports: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Of each folder those that it imports in its own package, which has modules of its own at its top."""
    return {
        folder: {name for name in targets if _package(name) == _package(folder)} - set(PACKAGES)
        for folder, targets in imports.items()
        if folder not in PACKAGES
    }


def _package(folder: str) -> str:
    return folder.partition(".")[0]


def reduced(imports: Mapping[str, Iterable[str]]) -> set[tuple[str, str]]:
    """Imports within a package that do not follow from others (transitive reduction)."""
    own = within_packages(imports)

    @cache
    def reach(folder: str) -> frozenset[str]:
        return frozenset(own[folder]).union(*(reach(name) for name in own[folder]))

    return {
        (folder, name)
        for folder, targets in own.items()
        for name in targets
        if not any(name in reach(other) for other in targets - {name})
    }


def _first_sentence(folder: str) -> str:
    source = (ROOT / Path(*folder.split(".")) / "__init__.py").read_text()
    docstring = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].replace("\n", " ")
    sentence = docstring.split(". ")[0].rstrip(".")
    return sentence.removeprefix(f"{folder.rpartition('.')[2]}: ")


def _lines(text: str, width: int, most: int = 2) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1] + " …"]


def _box(x: float, y: float, size: tuple[int, int], name: str, text: str, kind: str) -> str:
    words = "".join(
        f'<text class="small" x="{x + 6}" y="{y + 27 + 11 * number}">{escape(line)}</text>'
        for number, line in enumerate(_lines(text, round((size[0] - 8) / 5.4)))
    )
    return (
        f'<rect class="box {kind}" x="{x}" y="{y}" width="{size[0]}" height="{size[1]}" rx="5"/>'
        f'<text class="name" x="{x + 6}" y="{y + 15}">{escape(name)}</text>{words}'
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    middle = (start[1] + end[1]) / 2
    return (
        f'<path marker-end="url(#tip)" d="M{start[0]},{start[1]} C{start[0]},{middle} {end[0]},{middle} '
        f'{end[0]},{end[1]}"/>'
    )


def line(top: int) -> tuple[list[str], int]:
    """The stages in their order, with arrows from what each reads; and the height that they take."""
    names = list(STEPS)
    columns = {name: number for number, name in enumerate(names)}
    left, height = 20, 120
    drawn = [f'<text class="head" x="{left}" y="{top}">The line of stages, and what each makes</text>']
    y = top + 60
    for name, step in STEPS.items():
        x = left + columns[name] * (STEP[0] + 14)
        drawn.append(
            _box(x, y, STEP, name, f"makes {step.stage.kind}, version {step.stage.version}", "stages")
        )
        for source in step.reads:
            start = left + columns[source] * (STEP[0] + 14) + STEP[0] / 2
            lift = y - 12 - 9 * (columns[name] - columns[source])
            drawn.append(
                f'<path marker-end="url(#tip)" d="M{start},{y} C{start},{lift} {x + STEP[0] / 2 - 8},{lift} '
                f'{x + STEP[0] / 2 - 8},{y}"/>'
            )
    return drawn, height


def house(top: int) -> tuple[list[str], int]:
    """The folders, package by package, those that know more standing higher."""
    modules, imports = folders()
    heights, places = ranks(imports), {}
    drawn, y = [], top
    for package in PACKAGES:
        own = [folder for folder in sorted(modules) if _package(folder) == package and folder != package]
        drawn.append(
            f'<text class="head" x="20" y="{y}">{package}/</text><text class="small" x="130" y="{y}">'
            f"{escape(_first_sentence(package))}; {modules[package]} modules at its top</text>"
        )
        y += 14
        for rank in sorted({heights[folder] for folder in own}, reverse=True):
            row = [folder for folder in own if heights[folder] == rank]
            left = 20 + (WIDTH - len(row) * (BOX[0] + GAP[0])) // 2
            for number, folder in enumerate(row):
                places[folder] = (left + number * (BOX[0] + GAP[0]), y)
            y += BOX[1] + GAP[1]
        y += 10
    arrows = [
        _arrow(
            (places[folder][0] + BOX[0] / 2, places[folder][1] + BOX[1]),
            (places[name][0] + BOX[0] / 2, places[name][1]),
        )
        for folder, name in sorted(reduced(imports))
    ]
    boxes = [
        _box(x, y, BOX, f"{folder.partition('.')[2].replace('.', '/')} ({modules[folder]})",
             _first_sentence(folder), _package(folder))
        for folder, (x, y) in places.items()
    ]  # fmt: skip
    return [*drawn, *arrows, *boxes], y - top


def picture() -> str:
    """The picture as SVG; the same code gives the same text."""
    stages, height = line(26)
    rooms, depth = house(26 + height + 40)
    total = height + depth + 60
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 20} {total}" width="{WIDTH + 20}">',
        STYLE, '<rect width="100%" height="100%" fill="#fff"/>', *stages, *rooms, "</svg>", "",
    ])  # fmt: skip


if __name__ == "__main__":
    (ROOT / "docs" / "architecture.svg").write_text(picture())
