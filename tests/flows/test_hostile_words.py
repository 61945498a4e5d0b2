"""What strangers wrote, and what nobody shall read, on the way from a real collection to a person.

A table at an address with a password and a signature names pictures of a loopback server. Captions, licences,
columns and the server's words hold what terminals obey, Markdown's images, HTML and bidirectional marks.
"""

import io
import json
import re
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPBasicAuthHandler as BasicAuth
from urllib.request import HTTPPasswordMgrWithDefaultRealm, build_opener

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec import AbstractFileSystem
from markdown_it import MarkdownIt
from PIL import Image
from rich.console import Console

from flows import tasks
from flows.cli import main
from flows.config.file import read_run
from flows.run.terminal import Terminal
from flows.step import RunContext
from flows.steps import COLLECT
from stages.artifacts.artifact import Artifact, artifacts
from stages.config.collect import CollectConfig
from stages.report.summary import summary
from stages.store import open_store
from tests.stages.collect.conftest import Web

SECRET = "s3cr3t"
WORDS = "\x1b[31m![x](http://evil.example/x.png)<script>alert(1)</script> | [red]`y`[/red] \x9bK"
CAPTION = f"a fox \u202e\u2066\u200b{WORDS}\n# big"


class Container(AbstractFileSystem):
    """Files behind a password and a signature, as fsspec reaches them where adlfs is installed."""

    protocol = ("az",)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        data, etag = self._get(path)
        return {"name": path, "size": len(data), "type": "file", "ETag": etag}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        return []

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        if "late" in path:
            raise OSError(f"no answer from {path!r}, twice")
        return io.BytesIO(self._get(path)[0])

    def _get(self, path: str) -> tuple[bytes, str]:
        parts = urlsplit(path)
        words = HTTPPasswordMgrWithDefaultRealm()
        words.add_password(None, f"{parts.hostname}:{parts.port}", parts.username or "", parts.password or "")
        try:
            plain = path.replace(f"az://{parts.username}:{parts.password}@", "http://")
            with build_opener(BasicAuth(words)).open(plain) as answer:
                return answer.read(), answer.headers["ETag"]
        except HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(path) from error
            raise OSError(f"{path} was answered {error.code}") from error


def guarded(data: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """The data for those who know the password."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if "Authorization" not in handler.headers:
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="tables"')
            handler.send_header("Content-Length", "0")
        else:
            handler.send_response(200)
            handler.send_header("ETag", '"1"')
            handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if "Authorization" in handler.headers:
            handler.wfile.write(data)

    return answer


def gone(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(f"HTTP/1.1 404 {WORDS}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    web = Web()
    picture = io.BytesIO()
    Image.radial_gradient("L").resize((40, 40)).convert("RGB").save(picture, "PNG")
    web.serve("/good.png", picture.getvalue())
    web.answers["/gone.png"] = gone
    urls = [web.url("/good.png"), web.url("/gone.png"), f"ftp://me:{SECRET}@h/{WORDS}"]
    table = pa.table(
        {"url": urls, "caption": [CAPTION] * 3, "licence": [WORDS] * 3, f"why{WORDS}": ["x"] * 3}
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    for signature in (SECRET, f"{SECRET}2"):
        web.answers[f"/t.parquet?sig={signature}"] = guarded(file.getvalue())
    for name in ("broken", "late"):
        web.answers[f"/{name}.parquet?sig={SECRET}"] = guarded(b"PAR1")
    yield web
    web.close()


@pytest.fixture(scope="module", autouse=True)
def container() -> Iterator[None]:
    fsspec.register_implementation("az", Container, clobber=True)
    yield
    fsspec.register_implementation("az", "adlfs.AzureBlobFileSystem", clobber=True)


def address(web: Web, name: str = "t.parquet", signature: str = SECRET) -> str:
    return f"az://user:{SECRET}@127.0.0.1:{web.port}/{name}?sig={signature}"


def config(folder: Path, table: str) -> Path:
    source = {
        "name": "web",
        "tables": [table],
        "licence_column": "licence",
        "columns": [f"why{WORDS}"],
        "obey": [],
        "allow_networks": ["127.0.0.0/8"],
    }
    path = folder / "birds.yaml"
    path.write_text(json.dumps({"name": "birds", "collect": {"urls": [source], "retries": 0, "workers": 1}}))
    return path


@pytest.fixture(scope="module")
def store(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One collection, asked for twice: the second time with a new signature."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_LOGGING_LEVEL", "CRITICAL")
        for signature in (SECRET, f"{SECRET}2"):
            path = config(folder, address(web, signature=signature))
            main(["collect", str(path), "--store", str(folder / "store")])
    return folder / "store"


@pytest.fixture(scope="module")
def images(store: Path) -> Artifact:
    (images,) = artifacts(open_store(str(store), writable=False))
    return images


def test_the_collection_is_there_and_holds_the_words_as_they_are(images: Artifact) -> None:
    assert images.funnel.rows_out == 1
    assert images.table("images")["captions"][0][0]["text"] == CAPTION
    assert "\x1b[31m![x]" in "".join(images.table("rejects")["detail"])


def harmless(text: str) -> str:
    """Text for a terminal: no control but line ends, nothing that is not seen, nothing cut short by it."""
    controls = {character for character in text if unicodedata.category(character)[0] == "C"}
    assert controls <= {"\n"}
    assert "\u2028" not in text
    return text


@pytest.mark.parametrize("command", ["trace", "coverage", "diff", "show", "ls", "dry run"])
def test_a_terminal_shows_words_and_obeys_none(
    command: str, images: Artifact, store: Path, web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "coverage": ["coverage", "images/birds"],
        "diff": ["diff", "images/birds@1", "images/birds"],
        "show": ["show", "images/birds"],
        "ls": ["ls"],
        "dry run": ["collect", str(config(tmp_path, address(web))), "--dry-run"],
    }
    traces = [["trace", str(uid)] for table in ("rejects", "images") for uid in images.table(table)["uid"]]
    for words in traces if command == "trace" else [given[command]]:
        main([*words, "--store", str(store)])
    told = capsys.readouterr()
    assert told.out.strip()
    harmless(told.out + told.err)
    assert SECRET not in told.out + told.err
    assert r"\x1b[31m" in told.out or command not in ("trace", "dry run")


def test_data_for_programs_is_json_of_ascii(
    images: Artifact, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["trace", str(images.table("images")["uid"][0]), "--json", "--store", str(store)])
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out)["rows"][0]["events"][0]["captions"] == [CAPTION]
    harmless(out)


def test_a_page_has_no_pictures_links_or_html_of_strangers(images: Artifact) -> None:
    page = summary(images)
    harmless(page)
    assert SECRET not in page
    shown = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(page)
    assert set(re.findall(r'<img src="([^:"]*)', shown)) == {"data"}
    assert "<script" not in shown
    assert "<a" not in shown
    assert shown.count("<h1") == 1
    assert r"\x1b[31m![x](http://evil.example/x.png)" in shown


def test_a_progress_bar_takes_no_markup_from_them() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=250, legacy_windows=False)
    terminal = Terminal(console)
    with terminal.live():
        terminal.progress("collect", 1, 2, f"worst host [link=http://h/]x[/link] {WORDS}")
        while "worst host" not in screen.getvalue():  # drawn by a thread of rich's
            time.sleep(0.01)
        terminal.warn("collect", f"odd {WORDS}")
        terminal.failed("collect", ValueError(f"worse {WORDS} https://me:{SECRET}@h/?{SECRET}\nline"))
    shown = screen.getvalue()
    assert "worst host [link=http://h/]x[/link]" in shown
    assert shown.count(r"\x1b[31m![x]") >= 3
    assert "\x1b]8" not in shown
    assert "\x1b[31m!" not in shown
    assert SECRET not in shown


def test_a_first_config_explains_them(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "first.yaml"
    main(["init", address(web), "--out", str(path)])
    told = capsys.readouterr()
    harmless(told.out + told.err)
    assert SECRET not in told.out + told.err
    text = path.read_text()
    harmless(text)
    assert r"\x1b[31m" in text
    (source,) = read_run(path).collect.urls
    assert source.tables == (address(web),)  # it is to be used
    assert SECRET not in text.replace(address(web), "")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.parquet", "there is no file"),
        ("broken.parquet", "cannot be read as parquet"),
        ("late.parquet", "twice"),
    ],
)
def test_errors_tell_no_secrets(
    name: str, words: str, web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, store = config(tmp_path, address(web, name)), tmp_path / "store"
    with pytest.raises(SystemExit):
        main(["--debug", "collect", str(path), "--store", str(store)])
    told = capsys.readouterr()
    assert words in told.err
    assert "Traceback" in told.err
    assert SECRET not in told.out + told.err
    assert f"az://…@127.0.0.1:{web.port}/{name}?…" in told.err
    # As it is raised, with all that stands behind it, which Prefect logs.
    chosen = read_run(path).collect
    with pytest.raises(ValueError, match=words) as caught:
        _collect(chosen, store, in_task=name == "none.parquet")  # which fails before it asks Prefect
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert_no_secret_below(store)


def test_a_table_that_is_not_read_from_there_tells_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in (f"https://user:{SECRET}@h/t.csv?sig={SECRET}", f"nothing://{SECRET}@h/t.csv?{SECRET}"):
        with pytest.raises(SystemExit):
            main(["collect", str(config(tmp_path, url)), "--store", str(tmp_path / "store")])
        told = capsys.readouterr()
        assert "h/t.csv?…" in told.err
        assert SECRET not in told.out + told.err


def _collect(config: CollectConfig, store: Path, *, in_task: bool) -> None:
    if in_task:
        tasks.collect.fn(config=config, context=RunContext(str(store), "birds"))
    else:
        COLLECT.run(open_store(str(store)), "birds", config, [])


def test_nothing_that_is_written_holds_a_secret(store: Path, images: Artifact) -> None:
    assert_no_secret_below(store)
    assert images.manifest.config["urls"][0]["tables"] == [  # type: ignore[index,call-overload]
        re.sub(r"[?].*", "?…", str(images.manifest.config["urls"][0]["tables"][0]))  # type: ignore[index,call-overload]
    ]
    assert set(images.json("evidence/sources.json")["web"]) == {"t.parquet"}


def assert_no_secret_below(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [str(path) for path in files if SECRET in path.name or SECRET.encode() in path.read_bytes()] == []


def test_a_store_with_credentials_in_its_address_is_refused() -> None:
    for url in (f"s3://key:{SECRET}@bucket/x", f"az://container/x?sig={SECRET}"):
        with pytest.raises(ValueError, match="credentials come from the environment") as caught:
            open_store(url)
        assert SECRET not in str(caught.value)
