"""A pipeline that does everything right, then pipelines that err in one way each."""

from pathlib import Path

import pandas as pd
import pytest

from stages.demo.defects import DEFECTS, Rates
from stages.demo.scoring import CATCHES, score_defects, wrongly_merged
from stages.demo.site import build
from stages.record import uid_of

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder: Path = tmp_path_factory.mktemp("site")
    truth = pd.read_parquet(build(folder, 200, seed=0, rates=Rates(**dict.fromkeys(DEFECTS, 0.03))).truth)
    rejects = pd.DataFrame(
        [(str(CATCHES[r.defect][0]), r.url) for r in truth.itertuples() if r.defect in CATCHES],
        columns=["reason", "location"],
    )
    lost = ["duplicate_url", "not_found", "truncated", "html", "tiny"]
    held = truth[~truth.defect.isin(lost)]
    images = pd.DataFrame({"uid": [uid_of("demo", u) for u in held.url], "location": held.url.to_list()})
    kept = {r.row: uid_of("demo", r.url) for r in held.itertuples() if r.picture == r.row}
    levels = {"exact_copy": "exact", "reencoded_copy": "near", "resized_copy": "near"}
    duplicates = pd.DataFrame(
        {
            "uid": images.uid,
            "cluster": [kept[p] for p in held.picture],
            "level": [levels.get(d, "") for d in held.defect],
        }
    )
    return truth, images, duplicates, rejects


def test_a_faultless_pipeline_catches_everything(tables: Tables):
    scores = score_defects(*tables)
    assert list(scores) == list(DEFECTS)
    for name, score in scores.items():
        assert score["planted"] == score["caught"] > 0, name
        assert score["recall"] == 1.0
        assert score["precision"] == (None if name == "flaky" else 1.0), name
    merged, pictures = wrongly_merged(*tables[:3])
    assert (merged, pictures) == (0, len(tables[1]))


def test_keeping_the_copy_instead_of_the_original_is_as_good(tables: Tables):
    truth, images, duplicates, rejects = tables
    copy = truth[truth.defect == "resized_copy"].iloc[0]
    mine, original = uid_of("demo", copy.url), uid_of("demo", truth.url[copy.refers_to])
    turned = duplicates.assign(cluster=duplicates.cluster.replace(original, mine))
    turned.loc[turned.uid == mine, "level"] = ""
    turned.loc[turned.uid == original, "level"] = "near"
    assert score_defects(truth, images, turned, rejects)["resized_copy"]["recall"] == 1.0
    assert wrongly_merged(truth, images, turned)[0] == 0


def test_a_missed_copy_costs_recall(tables: Tables):
    truth, images, duplicates, rejects = tables
    copy = truth[truth.defect == "exact_copy"].iloc[0]
    missed = duplicates.copy()
    missed.loc[missed.uid == uid_of("demo", copy.url), ["cluster", "level"]] = [uid_of("demo", copy.url), ""]
    score = score_defects(truth, images, missed, rejects)["exact_copy"]
    assert score["caught"] == score["planted"] - 1
    assert score["precision"] == 1.0


def test_a_look_alike_taken_for_a_copy_costs_precision(tables: Tables):
    truth, images, duplicates, rejects = tables
    good = truth[truth.defect == ""].url
    wrong = duplicates.copy()
    wrong.loc[wrong.uid == uid_of("demo", good.iloc[0]), ["cluster", "level"]] = [
        uid_of("demo", good.iloc[1]),
        "near",
    ]
    scores = score_defects(truth, images, wrong, rejects)
    assert scores["resized_copy"]["recall"] == 1.0
    assert 0.5 < float(scores["resized_copy"]["precision"] or 0) < 1
    assert wrongly_merged(truth, images, wrong)[0] == 1


def test_good_captions_rejected_cost_precision_and_the_other_defect_does_not(tables: Tables):
    truth, images, duplicates, rejects = tables
    good = pd.DataFrame({"reason": ["low_similarity"] * 2, "location": truth[truth.defect == ""].url[:2]})
    scores = score_defects(truth, images, duplicates, pd.concat([rejects, good]))
    for name in ("swapped_caption", "attribute_caption"):
        planted = int(scores[name]["planted"] or 0)
        assert scores[name]["precision"] == pytest.approx(planted / (planted + 2))


def test_a_flaky_row_that_was_given_up_is_not_caught(tables: Tables):
    truth, images, duplicates, rejects = tables
    lost = truth[truth.defect == "flaky"].url.iloc[0]
    score = score_defects(truth, images[images.location != lost], duplicates, rejects)["flaky"]
    assert score["caught"] == int(score["planted"] or 0) - 1


def test_a_url_planted_twice_must_be_rejected_twice(tables: Tables):
    truth, images, duplicates, rejects = tables
    first = rejects[rejects.reason == "duplicate_url"].index[0]
    score = score_defects(truth, images, duplicates, rejects.drop(first))["duplicate_url"]
    assert score["caught"] == int(score["planted"] or 0) - 1


def test_no_rejects_give_no_precision(tables: Tables):
    truth, images, duplicates, rejects = tables
    scores = score_defects(truth, images, duplicates.assign(cluster=duplicates.uid, level=""), rejects[:0])
    assert all(score["precision"] is None for score in scores.values())
    assert all(scores[name]["recall"] == 0.0 for name in DEFECTS if name != "flaky")
