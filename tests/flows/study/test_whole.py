"""A whole study, small: each step is done once, whoever runs it again finds it."""

from pathlib import Path

import pytest

from flows.run.execute import run_flow
from flows.run.terminal import Terminal
from flows.study.cases import cases_of
from flows.study.config import ArmConfig, BudgetConfig, MeasureConfig, StudyConfig
from flows.study.page import markdown
from flows.study.preview import preview
from flows.study.results import CaseResult, StudyResults
from stages.artifacts.reference import resolve
from stages.demo.pairs import clean_folder
from stages.store import open_store

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.matrix]

PRETRAIN = ("train.objective=text", "train.pretrain.masked=1")
STUDY = StudyConfig(
    name="text",
    base="base.yaml",
    seeds=(0,),
    measuring=0.5,
    budget=BudgetConfig(seconds=0.3),
    arms=(
        ArmConfig(name="pretrained", overrides=PRETRAIN, budget=BudgetConfig(images=128)),
        ArmConfig(name="joint", start={"train.text.start": "pretrained"}),
        ArmConfig(name="random"),
        ArmConfig(name="again"),
    ),
    measures=(
        MeasureConfig(
            name="right",
            figure="evaluation.oracle.all",
            questions="evaluation.oracle.samples",
            arms=("joint", "random", "again"),
        ),
        MeasureConfig(name="R@1", figure="evaluation.understanding.r_at_1", arms=("pretrained",)),
        MeasureConfig(name="speed", figure="pace.images_per_second", arms=("random",), compared=False),
    ),
)


def test_each_step_is_done_once(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from flows.study.flow import study

    pictures, store = tmp_path / "two", open_store(str(tmp_path / "store"))
    clean_folder(pictures, 150, 5, (40, 48), world="two")
    base = tmp_path / "base.yaml"
    base.write_text(
        f"name: two\nstore: {store.url}\ncollect: {{folders: [{{name: two, folder: {pictures}}}]}}\n"
        "dedup: {max_difference: 0}\nshard: {test: 0.08}\n"
        "train: {device: cpu, processes: 1, threads: 1, text: {kind: fasttext, vocabulary: 600}}\n"
        "evaluate: {oracle: two, oracle_samples: 8, samples: 8, validation_rows: 64}\n"
    )

    def run() -> list[CaseResult]:
        place = str(tmp_path / "store")
        return run_flow(lambda: study(STUDY, base, place, "here", 2, return_state=True), Terminal())

    first = run()
    lines = capsys.readouterr().err
    assert {case.arm for case in first} == {arm.name for arm in STUDY.arms}
    assert "joint 0 train" in lines
    by_arm = {case.arm: case for case in first}
    assert by_arm["again"].model == by_arm["random"].model  # the same work, not done again

    pretrained = resolve(store, "models/text-pretrained-0")
    for arm in ("joint", "random"):
        start = resolve(store, f"models/text-{arm}-0").manifest.inputs.get("texts.0")
        assert (start and start["fingerprint"]) == (None if arm == "random" else pretrained.fingerprint)

    before = sorted(listed.key for listed in store.list("manifests"))
    assert run() == first
    assert sorted(listed.key for listed in store.list("manifests")) == before
    again = capsys.readouterr().err
    assert again.count(", cached") == again.count(" rows")

    *arms, total = preview(STUDY, cases_of(STUDY, base), "here", 2)
    assert all("1 of them cached, 0.00 h" in line for line in arms)
    assert total.startswith("4 cases, 0.00 h")
    assert "| joint | " in markdown(StudyResults(STUDY, "here", {}, first))
