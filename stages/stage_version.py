"""The versions of stages, read from their source: importing the stages themselves takes seconds."""

import ast
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from stages.registry import REGISTERED


@cache
def stage_versions() -> Mapping[str, int]:
    """Stage -> its version in this installation; a change of it makes the same request another one."""
    return {each.name: _version(*each.stage.split(":")) for each in REGISTERED}


def _version(module: str, function: str) -> int:
    """The argument `version` of the decorator `stage` of a function."""
    tree = _parsed(module)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for decorator in node.decorator_list:
                for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
                    if keyword.arg == "version":
                        return _number(tree, keyword.value)
    raise AssertionError(f"{module}:{function} is no stage with a version")


def _number(tree: ast.Module, value: ast.expr) -> int:
    """A number, or a constant of this module or of one that it is imported from."""
    if isinstance(value, ast.Constant):
        assert isinstance(value.value, int), value.value
        return value.value
    assert isinstance(value, ast.Name), ast.dump(value)
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == value.id for target in node.targets
        ):
            return _number(tree, node.value)
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == value.id:
                    return _number(_parsed(node.module), ast.Name(alias.name))
    raise AssertionError(f"{value.id} is defined nowhere at the top of its module")


def _parsed(module: str) -> ast.Module:
    spec = find_spec(module)
    assert spec is not None, module
    assert spec.origin is not None, module
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
