"""A plan is done when somebody says so, and never where nobody can."""

import io
import sys

import pytest
from rich.text import Text

from flows.cli.prefect.confirmation import confirm


class Keyboard(io.StringIO):
    """Standard input of a terminal."""

    def isatty(self) -> bool:
        return True


def answered(monkeypatch: pytest.MonkeyPatch, words: str) -> bool:
    monkeypatch.setattr(sys, "stdin", Keyboard(words))
    return confirm([Text("+ a/b")], "Deploy this?", yes=False)


@pytest.mark.parametrize("words", ["y\n", "Yes\n"])
def test_yes_does_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str):
    assert answered(monkeypatch, words)
    assert capsys.readouterr().out.startswith("+ a/b\nDeploy this? [y/N] ")


@pytest.mark.parametrize("words", ["\n", "n\n", "yesterday\n", ""])
def test_anything_else_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
):
    assert not answered(monkeypatch, words)
    assert capsys.readouterr().out.endswith("nothing was changed\n")


def test_a_script_is_told_of_the_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ValueError, match=r"nothing was changed: .* add --yes"):
        confirm([Text("+ a/b")], "Deploy this?", yes=False)
    assert capsys.readouterr().out == "+ a/b\n"
    assert confirm([], "Deploy this?", yes=True)
