"""`sdflow compare-text`: mistakes are told before anything takes time."""

from pathlib import Path

import pytest

from flows.cli import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kinds", "lstm", "--kinds", "lstm"], "kinds=lstm, lstm: name each once"),
        (["--seeds", "0"], "seeds=0: take more than 0"),
        (["--at-once", "-1"], "at_once=-1: take more than 0"),
        (["--out", "nowhere/page.md"], "there is no folder nowhere; make it first"),
        (["--out", "page.md"], "page.md has no lines <!-- comparison: begin -->"),
        (["--emoji", "nowhere"], "emoji=nowhere: there is no nowhere/metadata.csv"),
    ],
)
def test_mistakes_cost_no_time(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    Path("page.md").write_text("mine")
    with pytest.raises(SystemExit) as end:
        main(["compare-text", "--store", str(tmp_path / "store"), *options])
    assert end.value.code
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.md"]
