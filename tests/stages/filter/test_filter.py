import json
import tempfile
from dataclasses import replace
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.config.run import FilterConfig
from stages.filter import filter_
from stages.filter.rules import PHASES, ROW_RULES
from stages.fingerprint import fingerprint_of
from stages.output import Output
from stages.reasons import Reason
from stages.record import DUPLICATES, IMAGES, SCORES
from stages.stage import Stats, stage
from stages.store import Store, open_store


def row(uid: str, *captions: str, **values: object) -> dict:
    """A row of all three tables."""
    row = {"uid": uid, "captions": captions, "width": 100, "height": 80, "length": 1000, "similarity": 0.5}
    return row | {"cluster": uid, "level": "", "distance": 0.0, "multiplicity": 1} | values


def artifact(store: Store, kind: str, table: pa.Table, statistics: dict | None = None) -> Artifact:
    @stage(version=1, kind=kind, name=kind)
    def made(source: Snapshot, config: FilterConfig, out: Output) -> Stats:
        pq.write_table(table, out.write(f"{kind}.parquet"))
        return Stats(Funnel(len(table), len(table)), statistics or {})

    source = Snapshot(fingerprint_of(json.loads(json.dumps(table.to_pylist()))))
    return made(source, FilterConfig(), store=store)


def run(
    store: Store,
    rows: list[dict],
    config: FilterConfig,
    clip: bool = True,
    takedowns: Snapshot | None = None,
) -> Artifact:
    rows = sorted(rows, key=lambda row: row["uid"])
    images = [
        {
            **dict.fromkeys(IMAGES.names),
            **{name: row[name] for name in ("uid", "width", "height", "length")},
            "sha256": f"{row['uid']}'s",
            "location": row.get("location", f"https://example.org/{row['uid']}"),
            "captions": [{"text": text, "source": "alt", "weight": 1.0} for text in row["captions"]],
        }
        for row in rows
    ]
    duplicates = [{"phash": 0, **{n: row[n] for n in DUPLICATES.names if n != "phash"}} for row in rows]
    scores = [{"uid": row["uid"], "similarity": row["similarity"]} for row in rows] if clip else []
    return filter_(
        artifact(store, "images", pa.Table.from_pylist(images, IMAGES)),
        artifact(store, "duplicates", pa.Table.from_pylist(duplicates, DUPLICATES)),
        artifact(store, "scores", pa.Table.from_pylist(scores, SCORES), {"clip": clip}),
        takedowns,
        config,
        store=store,
    )


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(str(tmp_path / "store"))


def reasons(result: Artifact) -> dict[str, str]:
    rejects = result.table("rejects")
    return dict(zip(rejects["uid"], rejects["reason"], strict=True))


def test_every_rule_gives_its_reason_and_the_first_one_counts(store):
    config = FilterConfig(min_words=2, max_words=4, min_side=50, max_aspect=2.0, min_similarity=0.2)
    rows = [
        row("good", "two words"),
        row("none"),
        row("blank", "", "  \n"),
        row("short", "one"),
        row("long", "now this is far too long"),
        row("small", "two words", height=49),
        row("wide", "two words", width=161),
        row("just", "two words", width=160),
        row("unlike", "two words", similarity=0.19),
        row("unscored", "two words", similarity=None),
        row("all", "one", height=10, width=90, similarity=0.0),
        row("copy", "two words", cluster="good", level="exact", multiplicity=2, length=999),
    ]
    result = run(store, rows, config)
    assert reasons(result) == {
        "none": Reason.NO_CAPTION,
        "blank": Reason.NO_CAPTION,
        "short": Reason.CAPTION_TOO_SHORT,
        "long": Reason.CAPTION_TOO_LONG,
        "small": Reason.IMAGE_TOO_SMALL,
        "wide": Reason.ASPECT_TOO_WIDE,
        "unlike": Reason.LOW_SIMILARITY,
        "unscored": Reason.LOW_SIMILARITY,
        "all": Reason.CAPTION_TOO_SHORT,
        "copy": Reason.EXACT_DUPLICATE,
    }
    rejects = result.table("rejects").set_index("uid")
    assert rejects.loc["small", ["rule", "detail"]].tolist() == ["min_side=50", "100 x 49"]
    assert rejects.loc["unlike", ["rule", "detail"]].tolist() == ["min_similarity=0.2", "0.19"]
    assert rejects.loc["long", ["rule", "detail"]].tolist() == ["max_words=4", "6 words"]
    assert rejects.loc["unscored", "detail"] == "not scored"
    assert rejects.loc["copy", "merged_into"] == "good"
    assert set(rejects.drop("copy")["merged_into"]) == {""}
    assert rejects.loc["copy", "location"] == "https://example.org/copy"
    assert result.table("selection")["uid"].tolist() == ["good", "just"]


def test_what_was_taken_down_leaves_first_under_any_of_its_names(store):
    contents = {
        "urls": {"https://example.org/link": 4},
        "uids": {"named": 2, "both": 7},
        "sha256s": {"hashed's": 3, "both's": 5},
        "hosts": {"gone.org": 6},
    }
    rows = [
        row("good", "said", location="https://notgone.org/1"),
        row("named"),
        row("hashed", "said"),
        row("both", "said"),
        row("link", "said", multiplicity=2),
        row("copy", "said", cluster="link", level="exact", multiplicity=2),
        row("host", "said", location="https://gone.org:8080/1"),
        row("below", "said", location="http://img.gone.org/1"),
        row("local", "said", location="gone.org/1.png"),
    ]
    result = run(store, rows, FilterConfig(), takedowns=Snapshot(fingerprint_of(contents), contents))
    assert result.table("selection")["uid"].tolist() == ["copy", "good", "local"]
    rejects = result.table("rejects").set_index("uid")
    assert set(rejects["reason"]) == {Reason.TAKEN_DOWN}
    assert rejects["rule"].to_dict() == {
        "named": "take-down 2",
        "hashed": "take-down 3",
        "both": "take-down 5",
        "link": "take-down 4",
        "host": "take-down 6",
        "below": "take-down 6",
    }
    assert set(rejects["detail"]) == set(rejects["merged_into"]) == {""}
    assert run(store, rows, FilterConfig()).fingerprint != result.fingerprint


def test_captions_are_dropped_one_by_one(store):
    result = run(store, [row("a", "x", "two words", "three words here", " ")], FilterConfig(min_words=2))
    chosen = result.table("selection")["captions"][0]
    assert [caption["text"] for caption in chosen] == ["two words", "three words here"]
    assert result.statistics["captions_dropped"] == 1  # blank ones are no captions


def test_optional_captions_keep_pictures_without_one(store):
    rows = [
        row("bare"),
        row("blank", " "),
        row("short", "one"),
        row("said", "two words", "one"),
        row("small", height=10),
        # Of copies the one with a caption is kept, though another has more pixels.
        row("copy", cluster="large", level="exact", multiplicity=2),
        row("large", "two words", cluster="large", multiplicity=2, width=40),
    ]
    config = FilterConfig(captions="optional", min_words=2, min_side=20)
    result = run(store, rows, config)
    selection = result.table("selection").set_index("uid")
    held = {uid: [one["text"] for one in captions] for uid, captions in selection["captions"].items()}
    assert held == {
        "bare": [],
        "blank": [],
        "large": ["two words"],
        "said": ["two words"],
        "short": [],
    }
    assert reasons(result) == {"small": Reason.IMAGE_TOO_SMALL, "copy": Reason.EXACT_DUPLICATE}
    assert (result.statistics["without_caption"], result.statistics["captions_dropped"]) == (3, 2)


def test_valid_captions_keep_pictures_that_came_without_any_and_refuse_those_whose_captions_fail(store):
    rows = [
        row("bare"),
        row("blank", "", " \n"),
        row("short", "one"),
        row("long", "now this is far too long"),
        row("both", "one", "now this is far too long"),
        row("said", "one", "two words"),
        row("small", height=10),
        # Of copies the one with a good caption is kept, then one without, and none with a bad one alone.
        row("large", "one", cluster="large", multiplicity=3, width=400),
        row("medium", cluster="large", level="exact", multiplicity=3, width=200),
        row("tiny", cluster="large", level="near", multiplicity=3, width=100),
    ]
    config = FilterConfig(captions="valid", min_words=2, max_words=4, min_side=20)
    result = run(store, rows, config)
    selection = result.table("selection").set_index("uid")
    texts = {uid: [caption["text"] for caption in captions] for uid, captions in selection.captions.items()}
    assert texts == {"bare": [], "blank": [], "medium": [], "said": ["two words"]}
    assert reasons(result) == {
        "short": Reason.CAPTION_TOO_SHORT,
        "long": Reason.CAPTION_TOO_LONG,
        "both": Reason.CAPTION_TOO_SHORT,
        "small": Reason.IMAGE_TOO_SMALL,
        "large": Reason.CAPTION_TOO_SHORT,
        "tiny": Reason.NEAR_DUPLICATE,
    }
    assert (result.statistics["without_caption"], result.statistics["captions_dropped"]) == (3, 1)


@pytest.mark.parametrize("captions", ["valid", "optional"])
def test_pictures_without_captions_are_not_judged_by_similarity(
    store, captions: Literal["valid", "optional"]
):
    rows = [row("bare", similarity=None), row("scored", similarity=-0.9), row("blank", " ", similarity=None)]
    rows += [row("unscored", "said", similarity=None)]
    rows += [row(f"{n}", "said", similarity=n / 10) for n in range(4)]
    least = run(store, rows, FilterConfig(captions=captions, min_similarity=0.2))
    assert least.table("selection")["uid"].tolist() == ["2", "3", "bare", "blank", "scored"]
    assert set(least.table("rejects")["reason"]) == {Reason.LOW_SIMILARITY}
    most = run(store, rows, FilterConfig(captions=captions, top_fraction=0.2))
    assert most.table("selection")["uid"].tolist() == ["3", "bare", "blank", "scored"]  # a fifth of five


def test_a_cluster_whose_best_picture_fails_is_stood_for_by_the_best_that_is_left(store):
    rows = [
        row("best", "", multiplicity=4),
        row("near1", "said", cluster="best", level="near", multiplicity=4, width=50, length=3),
        row("near2", "said", cluster="best", level="near", multiplicity=4, width=50, length=9),
        row("small", "said", cluster="best", level="exact", multiplicity=4, width=40),
    ]
    result = run(store, rows, FilterConfig())
    assert result.table("selection")["uid"].tolist() == ["near2"]
    assert result.table("selection")["multiplicity"].tolist() == [4]
    assert result.table("selection")["cluster"].tolist() == ["best"]  # splits stay where they are
    assert reasons(result) == {"best": "no_caption", "near1": "near_duplicate", "small": "near_duplicate"}
    assert result.table("rejects").set_index("uid").loc["near1", "merged_into"] == "near2"

    kept = run(store, rows, FilterConfig(drop_duplicates=False))
    assert len(kept.table("selection")) == 3


def test_the_top_fraction_is_of_the_rows_that_passed_so_far(store):
    rows = [row(f"{n:02d}", "said", similarity=n / 10) for n in range(10)] + [row("x", similarity=0.99)]
    result = run(store, rows, FilterConfig(top_fraction=0.25))
    assert result.table("selection")["uid"].tolist() == ["07", "08", "09"]  # 2.5 rounds up
    assert result.funnel.reasons == {"low_similarity": 7, "no_caption": 1}
    assert set(result.table("rejects").query("reason == 'low_similarity'")["rule"]) == {"top_fraction=0.25"}
    many = [row(f"{n:03d}", "said", similarity=n / 100) for n in range(100)]
    assert 0.07 * 100 > 7  # as computers see it
    assert run(store, many, FilterConfig(top_fraction=0.07)).funnel.rows_out == 7


def test_without_clip_similarity_is_null_and_asking_for_it_is_refused(store):
    result = run(store, [row("a", "said")], FilterConfig(), clip=False)
    assert result.table("selection")["similarity"].isna().all()
    assert result.statistics["clip"] is False
    for config in (FilterConfig(min_similarity=0.1), FilterConfig(top_fraction=0.5)):
        with pytest.raises(ValueError, match=r"has no CLIP; set score\.model"):
            run(store, [row("a", "said")], config, clip=False)


def test_nothing_to_select_from(store):
    result = run(store, [], FilterConfig())
    assert (result.funnel.rows_in, result.funnel.rows_out) == (0, 0)
    assert len(result.table("selection")) == len(result.table("rejects")) == 0


sizes = st.sampled_from([10, 60, 100, 250])
scored = st.one_of(st.none(), st.floats(-1, 1, width=16))


@st.composite
def rows_of_clusters(draw) -> list[dict]:
    rows = []
    for cluster in range(draw(st.integers(0, 5))):
        members = draw(st.integers(1, 3))
        rows += [
            row(
                f"{cluster}{member}",
                *draw(st.lists(st.sampled_from(["", "a", "a b", "a b c d"]), max_size=2)),
                cluster=f"{cluster}0",
                level=draw(st.sampled_from(["exact", "near"])) if member else "",
                multiplicity=members,
                width=draw(sizes),
                height=draw(sizes),
                similarity=draw(scored),
            )
            for member in range(members)
        ]
    return rows


configs = st.builds(
    FilterConfig,
    captions=st.sampled_from(["required", "valid", "optional"]),
    min_words=st.integers(0, 2),
    max_words=st.integers(2, 4),
    min_side=st.sampled_from([0, 50]),
    max_aspect=st.sampled_from([1.0, 3.0]),
    min_similarity=st.one_of(st.none(), st.floats(-1, 1, width=16)),
    top_fraction=st.one_of(st.none(), st.floats(0.125, 1, width=16)),
    drop_duplicates=st.booleans(),
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows_of_clusters(), configs)
def test_every_row_is_selected_or_rejected_once_and_no_picture_is_lost_to_a_copy_that_failed(rows, config):
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        result = run(store, rows, config)
        chosen, rejects = set(result.table("selection")["uid"]), result.table("rejects")
        assert len(chosen) == len(result.table("selection")) == result.funnel.rows_out
        assert sorted([*chosen, *rejects["uid"]]) == sorted(row["uid"] for row in rows)
        assert rejects["reason"].value_counts().to_dict() == dict(result.funnel.reasons)

        cluster = {row["uid"]: row["cluster"] for row in rows}
        for uid, reason, into in zip(rejects["uid"], rejects["reason"], rejects["merged_into"], strict=True):
            merged = reason in (Reason.EXACT_DUPLICATE, Reason.NEAR_DUPLICATE)
            assert bool(into) == merged
            if merged:
                assert config.drop_duplicates
                assert into in chosen
                assert cluster[into] == cluster[uid]
        if config.drop_duplicates:
            assert len({cluster[uid] for uid in chosen}) == len(chosen)
            # the same pictures as without the rule, one of each cluster
            everything = run(store, rows, replace(config, drop_duplicates=False)).table("selection")["uid"]
            assert {cluster[uid] for uid in everything} == {cluster[uid] for uid in chosen}


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows_of_clusters(), configs, st.permutations(ROW_RULES))
def test_the_order_of_rules_on_rows_changes_nothing_but_reasons(rows, config, order):
    with tempfile.TemporaryDirectory() as usual, tempfile.TemporaryDirectory() as permuted:
        result = run(open_store(usual), rows, config)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("stages.filter.PHASES", (order, *PHASES[1:]))
            other = run(open_store(permuted), rows, config)
        assert other.files["selection.parquet"].sha256 == result.files["selection.parquet"].sha256
        rejects, others = (one.table("rejects").set_index("uid") for one in (result, other))
        assert list(others.index) == list(rejects.index)
        later = {rule.reason for rules in PHASES[1:] for rule in rules}
        same = rejects["reason"].isin(later - {rule.reason for rule in ROW_RULES})
        assert others[same].equals(rejects[same])
