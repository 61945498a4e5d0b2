"""A pipeline that does everything right, then pipelines that err in one way each."""

from pathlib import Path

import pandas as pd
import pytest

from stages.demo.outcomes import LEVELS, OUTCOMES
from stages.demo.rates import PLANTED, UNCAPTIONED, Rates
from stages.demo.scoring import score_defects, wrongly_merged
from stages.demo.site import build
from stages.image import REPAIRS
from stages.reasons import RETRYABLE
from stages.record import uid_of

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder: Path = tmp_path_factory.mktemp("site")
    rates = {**dict.fromkeys(PLANTED, 0.015), "placeholder": 0.06}
    truth = pd.read_parquet(build(folder, 300, seed=0, rates=Rates(**rates)).truth)
    refused = [(OUTCOMES[r.defect], r.url) for r in truth.itertuples() if r.defect]
    rejects = pd.DataFrame(
        [(str(outcome.reasons[0]), outcome.rule, url) for outcome, url in refused if outcome.reasons],
        columns=["reason", "rule", "location"],
    )
    captions = ("swapped_caption", "attribute_caption", "short_caption")  # whose pictures are held
    lost = [name for name in PLANTED if OUTCOMES[name].reasons and name not in captions]
    good = truth[~truth.defect.isin(lost)]
    images = pd.DataFrame({"uid": [uid_of("demo", u) for u in good.url], "location": good.url.to_list()})
    images["repairs"] = [[OUTCOMES[d].repair] if d and OUTCOMES[d].repair else [] for d in good.defect]
    uids = {r.row: uid_of("demo", r.url) for r in good.itertuples() if r.picture == r.row}
    duplicates = pd.DataFrame(
        {
            "uid": images.uid,
            "cluster": [uids[p] for p in good.picture],
            "level": [LEVELS.get(d, "") for d in good.defect],
        }
    )
    return truth, images, duplicates, rejects


def test_a_faultless_pipeline_catches_everything(tables: Tables):
    scores = score_defects(*tables)
    assert list(scores) == list(PLANTED)
    for name, score in scores.items():
        assert score["planted"] == score["caught"] > 0, name
        assert score["recall"] == 1.0
        passes = not OUTCOMES[name].reasons and not OUTCOMES[name].copy
        assert score["precision"] == (None if passes else 1.0), name
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
    good = pd.DataFrame(
        {"reason": ["low_similarity"] * 2, "rule": "", "location": truth[truth.defect == ""].url[:2]}
    )
    scores = score_defects(truth, images, duplicates, pd.concat([rejects, good]))
    for name in ("swapped_caption", "attribute_caption"):
        planted = int(scores[name]["planted"] or 0)
        assert scores[name]["precision"] == pytest.approx(planted / (planted + 2))


def test_a_flaky_row_that_was_given_up_is_not_caught(tables: Tables):
    truth, images, duplicates, rejects = tables
    lost = truth[truth.defect == "flaky"].url.iloc[0]
    score = score_defects(truth, images[images.location != lost], duplicates, rejects)["flaky"]
    assert score["caught"] == int(score["planted"] or 0) - 1


@pytest.mark.parametrize("name", UNCAPTIONED)
def test_a_picture_without_a_caption_that_is_held_and_then_refused_is_not_caught(tables: Tables, name: str):
    truth, images, duplicates, rejects = tables
    first = truth[truth.defect == name].url.iloc[0]
    refused = pd.DataFrame([("no_caption", "", first)], columns=["reason", "rule", "location"])
    scores = score_defects(truth, images, duplicates, pd.concat([rejects, refused]))
    assert scores[name]["caught"] == int(scores[name]["planted"] or 0) - 1
    lost = score_defects(truth, images[images.location != first], duplicates, rejects)
    assert lost[name]["caught"] == scores[name]["caught"]


def test_a_url_planted_twice_must_be_rejected_twice(tables: Tables):
    truth, images, duplicates, rejects = tables
    first = rejects[rejects.reason == "duplicate_url"].index[0]
    score = score_defects(truth, images, duplicates, rejects.drop(first))["duplicate_url"]
    assert score["caught"] == int(score["planted"] or 0) - 1


def test_no_rejects_give_no_precision(tables: Tables):
    truth, images, duplicates, rejects = tables
    scores = score_defects(truth, images, duplicates.assign(cluster=duplicates.uid, level=""), rejects[:0])
    assert all(score["precision"] is None for score in scores.values())
    lost = [name for name in PLANTED if OUTCOMES[name].reasons or OUTCOMES[name].copy]
    assert all(scores[name]["recall"] == 0.0 for name in lost)


def test_a_refusal_by_another_rule_is_not_this_defect_caught(tables: Tables):
    truth, images, duplicates, rejects = tables
    turned = rejects.assign(rule=rejects.rule.replace("obey=robots", "obey=tdmrep"))
    scores = score_defects(truth, images, duplicates, turned)
    assert scores["robots"]["recall"] == 0.0
    assert scores["tdm"]["recall"] == 1.0
    planted = {name: int(scores[name]["planted"] or 0) for name in ("robots", "tdm")}
    assert scores["tdm"]["precision"] == pytest.approx(planted["tdm"] / sum(planted.values()))


def test_a_picture_that_is_held_as_it_was_stored_is_not_caught(tables: Tables):
    truth, images, duplicates, rejects = tables
    flat = images.assign(repairs=[[] for _ in range(len(images))])
    scores = score_defects(truth, flat, duplicates, rejects)
    assert [scores[name]["recall"] for name in ("exif", "deep", "cmyk")] == [0.0] * 3
    assert scores["redirect"]["recall"] == 1.0


def test_outcomes_name_every_defect_and_words_that_exist():
    assert sorted(OUTCOMES) == sorted(PLANTED)
    assert {outcome.repair for outcome in OUTCOMES.values()} - {""} <= set(REPAIRS)
    for name in ("robots", "x_robots_tag", "content_usage", "tdm", "huge", "not_found"):
        assert not RETRYABLE & set(OUTCOMES[name].reasons)  # a no is not asked again
    assert OUTCOMES["robots"].words == "opted_out (obey=robots)"
    assert OUTCOMES["exif"].words == "held (oriented)"
    assert OUTCOMES["unlabelled"].words == "in the dataset"
