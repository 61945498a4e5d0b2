"""A small study and made-up results of it."""

from pathlib import Path
from typing import Any

from flows.study.config import ArmConfig, BudgetConfig, MeasureConfig, StudyConfig, VariantConfig
from flows.study.results import CaseResult, StudyResults

RIGHT = MeasureConfig(
    name="right",
    figure="evaluation.oracle.all",
    questions="evaluation.oracle.samples",
    arms=("started", "plain"),
    reference="bag-of-words",
)
LOSS = MeasureConfig(name="loss", figure="train.loss", arms=("first",), compared=False, digits=1)
STUDY = StudyConfig(
    name="try",
    base="base.yaml",
    seeds=(0, 1),
    paired=False,
    budget=BudgetConfig(seconds=10),
    variants=(
        VariantConfig(name="rnn", overrides=("train.text.kind=rnn",)),
        VariantConfig(name="gru", title="GRU", overrides=("train.text.kind=gru",)),
    ),
    arms=(
        ArmConfig(name="first", overrides=("train.objective=text",), budget=BudgetConfig(images=640)),
        ArmConfig(name="started", title="with a start", start={"train.text.start": "first"}),
        ArmConfig(name="plain", overrides=("train.caption_dropout=0.2",)),
    ),
    measures=(RIGHT, LOSS),
)


def write_base(folder: Path) -> Path:
    """The base run of STUDY."""
    path = folder / "base.yaml"
    source = f"{{name: pictures, folder: {folder / 'pictures'}}}"
    path.write_text(
        f"name: base\nstore: {folder / 'store'}\ncollect: {{folders: [{source}]}}\n"
        "train: {device: cpu, processes: 1, threads: 1}\n"
    )
    return path


def result(
    variant: str, arm: str, seed: int, right: float, share: float = 1.0, **figures: float
) -> CaseResult:
    """A case with this share right."""
    known = {"evaluation.oracle.all": right, "evaluation.oracle.samples": 800.0, "train.loss": 2 * right}
    return CaseResult(variant, arm, seed, share, 640, "m" * 64, "d" * 64, "e" * 64, {**known, **figures})


def results(shares: dict[str, list[float]], **changes: Any) -> StudyResults:
    """The study with these shares right, by variant and seed, in all arms."""
    cases = [
        result(variant, arm.name, seed, right)
        for variant, values in shares.items()
        for seed, right in enumerate(values)
        for arm in STUDY.arms
    ]
    return StudyResults(STUDY, "2 cores", {"bag-of-words": {"all": 0.168}}, cases)
