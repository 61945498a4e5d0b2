"""`sdflow init` and `sdflow collect`: from a place to a config, to a look beforehand, to pictures."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.config.file import read_run
from stages.artifacts.reference import resolve
from stages.store import open_store
from tests.stages.collect.conftest import Web, picture

Told = tuple[int, str, str]
ROWS = 4
TEXTS = [f"a bird of kind {number}" for number in range(ROWS)]


@pytest.fixture
def sdflow(
    sdflow: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Told]:
    """Run a command in an empty folder of its own: status, standard output, standard error."""
    monkeypatch.setenv("SDFLOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return sdflow


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


@pytest.fixture
def urls(web: Web, tmp_path: Path) -> Path:
    """A table of pictures on a server on loopback."""
    path = tmp_path / "urls.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["image_url", "TEXT", "license", "width"])
        for number, text in enumerate(TEXTS):
            out.writerow([web.serve(f"/{number}.png", picture(number)), text, "CC0", 24])
        out.writerow([web.url("/0.png"), "once more", "CC0", 24])
        out.writerow(["ftp://127.0.0.1/x.png", "another way", "", 24])
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    for number, text in enumerate(TEXTS):
        (path / f"{number}.png").write_bytes(picture(number))
        (path / f"{number}.txt").write_text(text)
    return path


def tars(path: Path) -> Path:
    path.mkdir()
    with tarfile.open(path / "0.tar", "w") as archive:
        for number, text in enumerate(TEXTS):
            for suffix, data in (("png", picture(number)), ("txt", text.encode())):
                member = tarfile.TarInfo(f"{number}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def hf(path: Path) -> Path:
    cells = [{"bytes": picture(number), "path": None} for number in range(ROWS)]
    pq.write_table(pa.table({"image": cells, "text": TEXTS}), path)
    return path


@pytest.mark.slow
def test_a_table_of_urls_from_init_to_pictures(sdflow: Callable[..., Told], web: Web, urls: Path) -> None:
    status, out, error = sdflow("init", urls, "--name", "birds")
    assert status == 0, error
    assert "sdflow collect run.yaml --dry-run" in out
    text = Path("run.yaml").read_text()
    assert "127.0.0.1 is no public address" in text.replace("\n      # ", " ")
    (source,) = read_run(Path("run.yaml")).collect.urls
    assert (source.url_column, source.caption_columns) == ("image_url", ("TEXT",))
    assert (source.licence_column, source.columns) == ("license", ("width",))

    status, out, error = sdflow("collect", "run.yaml", "--dry-run")
    assert status == 0, error
    assert web.asked.total() == 0
    assert not Path("store").exists()
    for words in ("6  in all", "1  refused as they stand: url_scheme", "4  to fetch: 4 URLs at 1 hosts"):
        assert words in out, out
    assert "no contact is given" in out
    allowed = ("--set", "collect.urls.0.allow_networks=[127.0.0.0/8]", "--set", "collect.workers=1")
    status, out, error = sdflow("collect", "run.yaml", *allowed, "--json")
    assert status == 0, error
    assert json.loads(out)["funnel"]["rows_out"] == ROWS
    images = resolve(open_store("store"), "images/birds").table("images")
    assert sorted(captions[0]["text"] for captions in images["captions"]) == TEXTS
    assert set(images["licence"]) == {"CC0"}

    found = json.loads(sdflow("collect", "run.yaml", "--dry-run", *allowed, "--json")[1])
    assert "this very collection is finished" in found["problems"][0]
    again = (*allowed, "--set", "collect.edition=second", "--dry-run", "--json")
    found = json.loads(sdflow("collect", "run.yaml", *again)[1])
    assert (found["rows"], found["already_collected"], found["to_fetch"], found["urls"]) == (6, ROWS, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("make", [folder, tars, hf])
def test_files_from_init_to_pictures(
    sdflow: Callable[..., Told], tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    place = make(tmp_path / ("birds.parquet" if make is hf else "birds"))
    assert sdflow("init", place)[0] == 0
    status, out, _ = sdflow("collect", "run.yaml", "--dry-run", "--json")
    assert status == 0
    assert json.loads(out)["to_copy"] == ROWS
    status, out, error = sdflow("collect", "run.yaml", "--set", "collect.workers=1")
    assert status == 0, error
    assert f"{ROWS} in, {ROWS} out" in out
    images = resolve(open_store("store"), "images/birds").table("images")
    assert sorted(captions[0]["text"] for captions in images["captions"]) == TEXTS


def test_a_stranger_s_columns_are_only_text(sdflow: Callable[..., Told], tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('url,"\x1b[31mred [bold]","two\nlines: {x"\nhttps://a.example/1.jpg,1,2\n')
    assert sdflow("init", path)[0] == 0
    (source,) = read_run(Path("run.yaml")).collect.urls
    assert source.columns == ("\x1b[31mred [bold]", "two\nlines: {x")
    status, out, error = sdflow("collect", "run.yaml", "--dry-run")
    assert status == 0, error
    assert "\x1b" not in out
    assert "[31mred [bold], two" in out


def test_init_overwrites_nothing_unasked(sdflow: Callable[..., Told], urls: Path) -> None:
    Path("run.yaml").write_text("mine")
    status, out, error = sdflow("init", urls)
    assert (status, out) == (2, "")
    assert "run.yaml is there already; --force" in error
    assert Path("run.yaml").read_text() == "mine"
    assert sdflow("init", urls, "--force")[0] == 0
    assert sdflow("init", urls, "--out", "other.yaml")[0] == 0
    assert "sdflow collect 'my run.yaml' --dry-run" in sdflow("init", urls, "--out", "my run.yaml")[1]
    assert Path("run.yaml").read_text() == Path("other.yaml").read_text().replace("other.yaml", "run.yaml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["init"], "needs a source"),
        (["init", "none.csv"], "there is no file 'none.csv'"),
        (["init", "{urls}", "--name", "Two Birds"], "no name for a reference"),
        (["init", "{urls}", "--out", "none/run.yaml"], "cannot be written"),
        (["collect", "none.yaml", "--dry-run"], "none.yaml cannot be read"),
        (["collect", "none.yaml"], "none.yaml cannot be read"),
    ],
)
def test_wrong_input_is_one_line_and_a_status(
    sdflow: Callable[..., Told], urls: Path, arguments: list[str], words: str
) -> None:
    status, out, error = sdflow(*(one.format(urls=urls) for one in arguments))
    assert (status, out, len(error.splitlines())) == (2, "", 1)
    assert words in error


@pytest.mark.parametrize("command", ["collect", "init"])
def test_help_teaches_with_examples(sdflow: Callable[..., Told], command: str) -> None:
    status, out, _ = sdflow(command, "--help")
    assert status == 0
    assert f" sdflow {command}" in out.split("Examples", 1)[1]
