"""Galleries: any set of rows, whose total is what the funnel says, a page at a time, both ways."""

import csv
import io
import itertools
import re
from html import escape, unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.page import FRAGMENT
from dashboard.rows.csv_file import safe
from stages.artifacts.artifact import Artifact
from stages.store import Store
from stages.takedown.records import Name, forget
from tests.dashboard.asking import asking, links, path, relative, total, uids


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.rows.page.ROWS", 4)


@pytest.mark.parametrize("stage", ["collect", "dedup", "score", "filter", "shard"])
def test_every_bar_of_a_funnel_has_its_gallery(client: TestClient, made: dict[str, Artifact], stage: str):
    funnel = made[stage].funnel
    assert total(client.get(path(made[stage], "rows")).text) == funnel.rows_out
    for reason, count in funnel.reasons.items():
        assert total(client.get(path(made[stage], f"rows?reason={reason}")).text) == count


@pytest.mark.parametrize("query", ["table=images", "table=rejects&view=table"])
def test_pages_lead_through_all_rows_and_back(client: TestClient, made: dict[str, Artifact], query: str):
    """Rejects have several rows of one uid."""
    address: str | None = path(made["collect"], f"rows?{query}")
    texts: list[str] = []
    while address is not None:
        texts.append(client.get(address).text)
        address = relative(texts[-1], "next")
    table = "images" if "images" in query else "rejects"
    expected = sorted(made["collect"].table(table)["uid"])
    seen = [text.count("<td>") or text.count("<li>") for text in texts]
    assert len(texts) == -(-len(expected) // 4)
    assert all(seen)
    backwards = [texts[-1]]
    while (address := relative(backwards[-1], "prev")) is not None:
        backwards.append(client.get(address).text)
    shown = [uids(text) for text in texts]
    assert [uids(text) for text in reversed(backwards)] == shown
    assert list(dict.fromkeys(itertools.chain(*shown)))[: len(set(expected))] != []
    assert set(expected) - {""} <= set(itertools.chain(*shown))


def test_rows_of_one_uid_are_paged_by_their_number(client: TestClient, made: dict[str, Artifact]):
    uid = made["collect"].table("rejects")["uid"].min()
    address = path(made["collect"], f"rows?table=rejects&view=table&after={uid}")
    assert uid not in uids(client.get(address).text)
    assert uid in uids(client.get(f"{address}:0").text)


@pytest.mark.parametrize(
    ("stage", "query", "condition"),
    [
        ("score", "column=similarity&least=0.9", "similarity >= 0.9"),
        ("score", "column=similarity&least=0.2&most=0.9", "0.2 <= similarity <= 0.9"),
        ("collect", "column=width&most=100", "width <= 100"),
        ("collect", "column=format&value=webp", "format == 'webp'"),
        ("shard", "split=test", "split == 'test'"),
        ("filter", "column=multiplicity&least=2", "multiplicity >= 2"),
    ],
)
def test_a_table_is_asked_by_what_its_columns_are(
    client: TestClient, made: dict[str, Artifact], stage: str, query: str, condition: str
):
    table = {"score": "scores", "collect": "images", "shard": "index", "filter": "selection"}[stage]
    expected = len(made[stage].table(table).query(condition))
    assert 0 < expected < made[stage].funnel.rows_out or stage == "filter"
    assert total(client.get(path(made[stage], f"rows?{query}")).text) == expected


def test_captions_are_asked_by_all_words_of_one(client: TestClient, made: dict[str, Artifact]):
    texts = [[c["text"].lower() for c in some] for some in made["shard"].table("index")["captions"]]
    split = [[re.findall(r"[a-z]+", text) for text in some] for some in texts]
    expected = sum(any("red" in each and "large" in each for each in some) for some in split)
    assert 0 < expected < sum(any("red" in text and "large" in text for text in some) for some in texts)
    assert total(client.get(path(made["shard"], "rows?words=Large+RED")).text) == expected


def test_rows_that_take_long_to_count_are_counted_on_request(
    client: TestClient, made: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
):
    """As a part of the page, and for a browser without JavaScript as the page that says it."""
    monkeypatch.setattr("dashboard.rows.page.QUICK", 0)
    text = client.get(path(made["shard"], "rows?words=red")).text
    (address,) = links(text, "total=true")
    assert f'hx-get="{escape(address)}"' in text
    assert 'id="total"' not in text
    part = client.get(address, headers={FRAGMENT: "true"}).text
    whole = client.get(address).text
    assert part.strip().startswith("<span")
    assert total(part) == total(whole) > 0
    assert len(uids(whole)) == 4


def test_what_the_filter_left_out_shows_the_captions_it_came_with(
    client: TestClient, made: dict[str, Artifact]
):
    """They are in no table of the filter's, and often why."""
    images = made["collect"].table("images").set_index("uid")
    rejects = made["filter"].table("rejects")
    rejects = rejects[rejects["reason"] == "low_similarity"].sort_values("uid")["uid"].tolist()[:4]
    assert rejects
    text = unescape(client.get(path(made["filter"], "rows?reason=low_similarity")).text)
    assert [images.loc[uid, "captions"][0]["text"][:60] in text for uid in rejects] == [True] * len(rejects)


def test_a_cluster_is_a_gallery(client: TestClient, made: dict[str, Artifact]):
    table = made["dedup"].table("duplicates")
    cluster = table[table["multiplicity"] > 1]["cluster"].iloc[0]
    text = client.get(path(made["dedup"], f"rows?cluster={cluster}")).text
    assert set(uids(text)) == set(table[table["cluster"] == cluster]["uid"])
    assert len(links(text, "^/images/")) == len(uids(text))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("column=nothing&least=1", "there is no column"),
        ("column=format&least=1", "holds no numbers"),
        ("least=1", "needs the column"),
        ("column=width&least=x", "least must be a number"),
        ("table=nothing", "there is no table"),
        ("table=../../x", "there is no table"),
        ("label=a=b", "this table has no labels"),
        ("split=train", "there is no column"),
        ("after=<x>", "is no cursor"),
    ],
)
def test_a_question_that_makes_no_sense_is_told(
    client: TestClient, made: dict[str, Artifact], query: str, words: str
):
    answer = client.get(path(made["collect"], f"rows?{query}"))
    assert answer.status_code == 400
    assert words in answer.text


def test_rejects_without_pictures_are_a_table(client: TestClient, made: dict[str, Artifact]):
    text = client.get(path(made["collect"], "rows?reason=http_not_found")).text
    assert "<img" not in text
    assert '<th scope="col">location</th>' in text
    assert "http not found" in text


def test_what_has_no_rows_says_so(client: TestClient, made: dict[str, Artifact]):
    answer = client.get(path(made["train"], "rows"))
    assert answer.status_code == 200
    assert "no table with a row for each picture" in answer.text
    empty = client.get(path(made["collect"], "rows?column=width&least=1e9")).text
    assert "No row meets this." in empty


def test_a_damaged_table_is_told(copied: Store, made: dict[str, Artifact]):
    file = Path(copied.url) / made["dedup"].entry("duplicates.parquet").key
    file.chmod(0o644)
    file.write_bytes(b"x")
    with asking(copied) as client:
        answer = client.get(path(made["dedup"], "rows"))
        assert answer.status_code == 500
        assert "restore it from a copy" in answer.text
        assert client.get(path(made["collect"], "rows")).status_code == 200


def test_a_picture_that_was_taken_down_is_words(copied: Store, made: dict[str, Artifact]):
    uid = made["collect"].table("images")["uid"].min()
    forget(copied, [Name("uid", uid)], "a test")
    with asking(copied) as client:
        text = client.get(path(made["collect"], "rows")).text
        assert f"/thumbnails/{uid}" not in text
        assert "taken down (take-down 1)" in text


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("stage", "table", "query"),
    [
        ("collect", "images", ""),
        ("filter", "rejects", "?reason=low_similarity"),
        ("score", "scores", "?column=similarity&least=0.5"),
    ],
)
def test_the_rows_of_a_gallery_as_csv(
    client: TestClient, made: dict[str, Artifact], stage: str, table: str, query: str,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr("dashboard.rows.csv_file.BATCH", 5)
    gallery = client.get(path(made[stage], f"rows{query}")).text
    (address,) = links(gallery, r"/rows\.csv")
    answer = client.get(address)
    assert answer.headers["content-type"].startswith("text/csv")
    assert f"{table}.csv" in answer.headers["content-disposition"]
    rows = rows_of(answer.text)
    assert len(rows) == total(gallery) > 5
    columns = [name for name in made[stage].table(table).columns if name not in ("file", "offset", "length")]
    assert list(rows[0]) == columns
    uids = [row["uid"] for row in rows]
    assert uids == sorted(uids)
    if table == "scores":
        whole = made[stage].table(table).set_index("uid")["similarity"]
        assert {row["uid"]: float(row["similarity"]) for row in rows} == {
            uid: pytest.approx(whole[uid]) for uid in uids
        }


def test_a_csv_file_is_bounded_and_its_page_says_so(
    client: TestClient, made: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dashboard.rows.csv_file.ROWS", 7)
    assert "The first 7 as CSV" in client.get(path(made["collect"], "rows")).text
    assert len(rows_of(client.get(path(made["collect"], "rows.csv")).text)) == 7


def test_a_question_that_makes_no_sense_is_no_file(client: TestClient, made: dict[str, Artifact]):
    answer = client.get(path(made["collect"], "rows.csv?column=nothing&least=1"))
    assert answer.status_code == 400
    assert "there is no column" in answer.text


@pytest.mark.parametrize("stage", ["collect", "dedup", "filter"])
def test_no_file_has_a_picture_that_was_taken_down(copied: Store, made: dict[str, Artifact], stage: str):
    """By its address alone, which a selection's rows do not have."""
    selected = set(made["filter"].table("selection")["uid"])
    images = made["collect"].table("images")
    taken = images[images["uid"].isin(selected)].iloc[0]
    with asking(copied) as client:
        before = rows_of(client.get(path(made[stage], "rows.csv")).text)
    forget(copied, [Name("url", taken["location"])], "a test")
    with asking(copied) as client:
        after = rows_of(client.get(path(made[stage], "rows.csv")).text)
    assert taken["uid"] in {row["uid"] for row in before}
    assert [row for row in before if row["uid"] not in {row["uid"] for row in after}]
    assert taken["uid"] not in {row["uid"] for row in after}


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        (["=1"], "'=1"),
        ("a = b", "a = b"),
        (-1.5, -1.5),
        (-3, -3),
        (None, ""),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("https://me:secret@h.org/", "https://h.org/"),
    ],
)
def test_no_cell_is_a_formula(value: object, cell: object):
    assert "secret" not in str(safe(value))
    assert safe(value) == cell or "secret" in str(value)
