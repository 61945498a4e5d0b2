import csv
import io
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.demo.captions import parse
from stages.demo.defects import DEFECTS, LABELS, UNCAPTIONED, WEB_DEFECTS, Rates
from stages.demo.oracle import read_attributes
from stages.demo.pairs import clean_folder
from stages.demo.server import DemoServer
from stages.demo.site import DemoSite, build, open_site

ROWS = 240
RATES = Rates(**dict.fromkeys(DEFECTS, 0.03), **dict.fromkeys(WEB_DEFECTS, 0))


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, port: int) -> DemoSite:
    return build(tmp_path_factory.mktemp("site"), ROWS, seed=4, rates=RATES, port=port)


@pytest.fixture
def server(site: DemoSite) -> Iterator[DemoServer]:
    with DemoServer(site) as running:
        yield running


@pytest.fixture(scope="module")
def truth(site: DemoSite) -> pd.DataFrame:
    return pd.read_parquet(site.truth)


def get(url: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_table_and_truth_have_the_same_rows_and_the_table_tells_nothing(site: DemoSite, truth: pd.DataFrame):
    table = pd.read_parquet(site.table)
    assert list(table.columns) == ["url", "caption", "row", "shape", "colour"]
    assert list(table["row"]) == list(truth["row"]) == list(range(ROWS))
    assert list(table.url) == list(truth.url)
    for name in LABELS:
        assert list(table[name]) == list(truth[name].where(truth.labelled, ""))
    assert truth.labelled[truth.defect == "labels_only"].all()
    assert not truth.labelled[truth.defect == "unlabelled"].any()
    assert list(table.row[table.caption.str.isspace() | (table.caption == "")]) == list(
        truth.row[truth.defect.isin(UNCAPTIONED)]
    )
    assert all(url.startswith(f"http://127.0.0.1:{site.port}/4/") for url in table.url)


def test_every_defect_is_served_as_told(site: DemoSite, server: DemoServer, truth: pd.DataFrame):
    bodies: dict[int, bytes] = {}
    statuses: dict[str, set[tuple[int, str]]] = {name: set() for name in ("", *DEFECTS, *UNCAPTIONED)}
    for row in truth.itertuples():
        status, kind, bodies[row.row] = get(row.url)
        statuses[row.defect].add((status, kind.split("/")[0]))
    picture = {(200, "image")}
    assert statuses.pop("not_found") == {(404, "text")}
    assert statuses.pop("html") == {(200, "text")}
    assert statuses.pop("flaky") == {(500, "text")}
    assert all(status == picture for status in statuses.values())

    for row in truth.itertuples():
        body = bodies[row.row]
        if row.defect in ("not_found", "flaky", "html", "truncated"):
            with pytest.raises(OSError):  # noqa: PT011 - Pillow says it in many ways
                pixels(body)
        elif row.defect == "tiny":
            assert pixels(body).shape == (1, 1, 3)
        else:
            assert pixels(body).shape == (row.side, row.side, 3)
        if row.refers_to >= 0 and row.defect in ("exact_copy", "duplicate_url"):
            assert body == bodies[row.refers_to]
        if row.defect in ("reencoded_copy", "resized_copy"):
            assert body != bodies[row.refers_to]


def test_flaky_rows_answer_the_second_time(server: DemoServer, truth: pd.DataFrame):
    url = truth[truth.defect == "flaky"].url.iloc[0]
    assert [get(url)[0] for _ in range(3)] == [500, 200, 200]


def test_what_is_served_shows_what_the_truth_says(server: DemoServer, truth: pd.DataFrame):
    shown = truth[
        truth.defect.isin(
            ["", "swapped_caption", "exact_copy", "reencoded_copy", "resized_copy", *UNCAPTIONED]
        )
    ]
    small: list[np.ndarray] = []
    for url in shown.url:
        with Image.open(io.BytesIO(get(url)[2])) as image:
            small.append(np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX)))
    reading = read_attributes(np.stack(small))
    for name, labels in reading.labels.items():
        assert np.mean(labels == shown[name].to_numpy()) >= 0.99


def test_requests_are_counted(server: DemoServer, truth: pd.DataFrame):
    url = truth.url.iloc[0]
    path = url.removeprefix(server.url)
    assert server.requests[path] == 0
    get(url)
    get(url + "?size=large")
    get(server.url + "/no/such/thing")
    assert server.requests == {path: 2, "/no/such/thing": 1}


@pytest.mark.parametrize(
    "path", ["/../site.json", "/4/../truth.parquet", "/%2e%2e/site.json", "//etc/passwd", "/"]
)
def test_nothing_but_the_site_can_be_reached(server: DemoServer, path: str):
    with socket.create_connection(("127.0.0.1", server.site.port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert connection.makefile("rb").readline().split()[1] == b"404"


def test_head_brings_no_body(server: DemoServer, truth: pd.DataFrame):
    request = urllib.request.Request(truth[truth.defect == ""].url.iloc[0], method="HEAD")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert int(answer.headers["Content-Length"]) > 100
        assert answer.read() == b""


def test_a_taken_port_is_named(site: DemoSite, server: DemoServer):
    with pytest.raises(ValueError, match=f"port={site.port}.*another port"):
        DemoServer(site)


def test_a_second_build_draws_nothing(site: DemoSite, port: int):
    before = site.pictures.stat().st_mtime_ns
    assert build(site.folder, ROWS, seed=4, rates=RATES, port=port) == site == open_site(site.folder)
    assert site.pictures.stat().st_mtime_ns == before


def test_an_unfinished_build_is_done_again(site: DemoSite, tmp_path: Path, port: int):
    first = build(tmp_path, ROWS, seed=4, rates=RATES, port=port)
    data, table = first.pictures.read_bytes(), first.table.read_bytes()
    (tmp_path / "site.json").unlink()
    first.pictures.write_bytes(b"half")
    build(tmp_path, ROWS, seed=4, rates=RATES, port=port)
    assert first.pictures.read_bytes() == data == site.pictures.read_bytes()
    assert first.table.read_bytes() == table == site.table.read_bytes()


def test_a_longer_table_begins_with_the_shorter_one(tmp_path: Path):
    short = pd.read_parquet(build(tmp_path / "short", 500, seed=0).table)
    long = pd.read_parquet(build(tmp_path / "long", 520, seed=0).table)
    pd.testing.assert_frame_equal(long.iloc[:500], short)


@pytest.mark.slow
def test_processes_draw_what_one_process_draws(tmp_path: Path):
    several = build(tmp_path / "several", 1010, seed=2)
    first = build(tmp_path / "one", 1000, seed=2)
    data = first.pictures.read_bytes()
    assert several.pictures.read_bytes()[: len(data)] == data


@pytest.mark.parametrize(
    ("rows", "port", "named"), [(0, 27182, "rows=0"), (10, 0, "port=0"), (10, 70_000, "port=70000")]
)
def test_requests_that_cannot_be_built_are_refused(tmp_path: Path, rows: int, port: int, named: str):
    with pytest.raises(ValueError, match=named):
        build(tmp_path, rows, seed=0, port=port)


def test_a_folder_without_a_site_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no finished demo site"):
        open_site(tmp_path)


def test_clean_folders_hold_pictures_and_true_captions(tmp_path: Path):
    folder = clean_folder(tmp_path / "clean", 60, seed=9, sides=(64, 96))
    with (folder / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    small: list[np.ndarray] = []
    for row in rows:
        with Image.open(folder / row["file_name"]) as image:
            assert 64 <= image.width <= 96
            small.append(np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX)))
    described = [parse(row["text"]) for row in rows]
    assert read_attributes(np.stack(small)).matches([s for s in described if s])["all"].mean() >= 0.98
