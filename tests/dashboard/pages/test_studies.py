"""Studies as tables: intervals, what is undecided, and the model behind every case."""

import re
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from starlette.testclient import TestClient

from dashboard.app import create_app
from flows.study.page import markdown
from flows.study.record import study_record
from flows.study.results import StudyResults
from stages.artifacts.artifact import Artifact
from stages.artifacts.gc import collect_garbage
from stages.artifacts.study import add_study, studies_log, study_numbers
from stages.store import Store, open_store
from tests.dashboard.conftest import ADDRESS
from tests.flows.study.studies import results

CLOSE = {"rnn": [0.10, 0.9], "gru": [0.44, 0.46]}
CLEAR = {"rnn": [0.10, 0.101], "gru": [0.90, 0.902]}


def page(store: Store, path: str) -> str:
    with TestClient(create_app(store), base_url=ADDRESS) as client:
        answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_every_cell_of_the_page_s_tables_is_shown(tmp_path: Path):
    store = open_store(str(tmp_path))
    outcome = results(CLEAR)
    add_study(store, study_record(outcome))
    text = page(store, "/studies/try")
    for row in re.findall(r"^\| (?:GRU|rnn) \|.*$", markdown(outcome), re.MULTILINE):
        for cell in row.strip("| ").split(" | ")[1:]:
            assert f">{cell}<" in text
    assert "0.168" in text
    assert "higher is better" in text
    assert "Means of 2 seeds" in text


def test_intervals_are_drawn_with_their_numbers_beside(tmp_path: Path):
    store = open_store(str(tmp_path))
    record = study_record(results(CLEAR))
    add_study(store, record)
    text = page(store, "/studies/try")
    compared = [column for table in record.tables for column in table.columns if column.better]
    assert len(compared) == text.count('<svg class="curves intervals"') > 0
    assert text.count('class="mean"') == sum(
        row.cells[place] is not None
        for table in record.tables
        for place, column in enumerate(table.columns)
        for row in table.rows
        if column.better
    )
    assert re.search(
        r'<th scope="row">GRU</th><td class="number">0.90\d*</td><td class="number">0.\d+-', text
    )


def test_undecided_is_said(tmp_path: Path):
    store = open_store(str(tmp_path))
    add_study(store, study_record(results(CLOSE)))
    text = page(store, "/studies/try")
    assert re.search(r"right, plain</th><td>rnn</td><td><span[^>]*>undecided</span> GRU", text)
    assert "undecided" in page(store, "/studies")
    add_study(store, study_record(results(CLEAR)))
    newest = page(store, "/studies/try")
    assert re.search(r"right, plain</th><td>GRU</td><td><span[^>]*>decided</span>", newest)
    assert re.search(r"right, plain</th><td>rnn</td>", page(store, "/studies/try?number=1"))
    assert "?number=1" in newest


def test_cases_lead_to_their_models_and_are_paged(filled: Store, made: dict[str, Artifact], tmp_path: Path):
    shutil.copytree(filled.url, tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    outcome = results({"rnn": [0.1] * 30, "gru": [0.2] * 30})
    first, *others = outcome.cases
    known = replace(first, model=made["train"].fingerprint, evaluation=made["evaluate"].fingerprint)
    add_study(store, study_record(replace(outcome, cases=[known, *others])))
    text = page(store, "/studies/try")
    assert f'href="/models/{known.model}"' in text
    assert f'href="/evaluations/{known.evaluation}"' in text
    assert "is not in this store" in text
    following = re.search(r'rel="next" href="([^"]+)#cases"', text)
    assert following
    second = page(store, following[1].replace("&amp;", "&"))
    count = text.count("is not in this store") + second.count("is not in this store")
    assert count == 119


def test_the_same_results_are_recorded_once(tmp_path: Path):
    store = open_store(str(tmp_path))
    assert [add_study(store, study_record(results(shares))) for shares in (CLEAR, CLEAR, CLOSE, CLEAR)] == [
        1, 1, 2, 3
    ]  # fmt: skip
    assert study_numbers(store) == {"try": [1, 2, 3]}
    record = studies_log(store, "try").record(1)
    assert replace(record, time="") == study_record(results(CLEAR))


def test_garbage_collection_leaves_records_alone(tmp_path: Path):
    store = open_store(str(tmp_path))
    add_study(store, study_record(results(CLEAR)))
    collect_garbage(store, grace=timedelta(0))
    assert study_numbers(store) == {"try": [1]}


def test_hostile_words_are_shown_as_text(tmp_path: Path):
    store = open_store(str(tmp_path))
    hostile = "<script>alert(1)</script>\x1b[31m"
    outcome = results(CLEAR)
    study = replace(outcome.study, title=hostile, about=hostile)
    add_study(store, study_record(StudyResults(study, hostile, {}, outcome.cases)))
    for path in ("/studies", "/studies/try"):
        text = page(store, path)
        assert "<script>alert" not in text
        assert "\x1b" not in text


def test_a_damaged_record_is_named_and_hides_no_other(tmp_path: Path):
    store = open_store(str(tmp_path))
    add_study(store, study_record(results(CLEAR)))
    (tmp_path / "studies/worse").mkdir()
    (tmp_path / "studies/worse/00000001.json").write_text("{}")
    text = page(store, "/studies")
    assert "studies/worse/00000001.json" in text
    assert 'href="/studies/try"' in text


def test_an_empty_store_says_what_a_study_is(empty: TestClient):
    assert "sdflow study" in empty.get("/studies").text
    assert empty.get("/studies/none").status_code == 404
