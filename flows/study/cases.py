"""The cases of a study: one training each, of a variant, an arm and a seed, with the config that it has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from flows.config.file import read_run, read_values
from flows.config.values import config_of
from flows.step import RunContext, Step
from flows.steps import ENCODE
from flows.study.config import BudgetConfig, StudyConfig
from sdmodel.config.conditions import ConditionsConfig
from sdmodel.config.picture import PICTURE, PictureConfig
from sdmodel.config.representation import AlignmentConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from stages.config.run import Run
from stages.forecast.pace import PaceConfig, pace

PACE = Step(pace, ("shard",))
"""Measures a training's speed."""
MANY = 10**6
"""Images of a training whose speed is measured: more than it will see."""


@dataclass(frozen=True)
class Case:
    """A training of the study, and the evaluation of its model."""

    name: str
    """What its model and evaluation are filed under."""
    variant: str
    arm: str
    seed: int
    run: Run
    """Its config; where the budget is time, how many images it sees is yet to be settled."""
    budget: BudgetConfig

    @property
    def title(self) -> str:
        """What people know it by, on screens."""
        return " ".join(filter(None, (self.variant, self.arm, str(self.seed))))

    @property
    def context(self) -> RunContext:
        """Where its results live."""
        return RunContext(self.run.store, self.name, self.title)

    @cached_property
    def data(self) -> str:
        """Equal for cases with the same dataset."""
        run = self.run
        return repr((run.name, run.store, run.collect, run.dedup, run.score, run.filter, run.shard))

    @cached_property
    def work(self) -> str:
        """Equal for cases whose training is the same work."""
        return repr((self.data, self.run.encode, self.run.train, self.budget))

    def pace(self, machine: str, seconds: float) -> PaceConfig:
        """How its speed is measured: that of all seeds, whatever it starts from, and without a frozen
        encoder, which another arm may have yet to make."""
        train = _unseeing(self.run.train)
        return PaceConfig(
            train=replace(
                train.of_images(MANY),
                seed=0,
                text=_unstarted(train.text),
                texts=tuple(map(_unstarted, train.texts)),
            ),
            processes=train.processes,
            threads=train.threads,
            machine=machine,
            seconds=seconds,
        )

    def train(self, per_second: float | None, share: float = 1.0) -> TrainConfig:
        """Its training, with the images that it sees.

        Args:
            per_second: images that it learns from in a second, where the budget is time.
            share: of the budget, (0, 1]; below 1 in whole batches, as always where the budget is time.
        """
        train, budget = self.run.train, self.budget
        images = float(budget.images or train.images)
        if budget.seconds:
            assert per_second, f"{self.name}: its speed is not measured"
            images = budget.seconds * per_second
        if budget.seconds or share < 1:
            images = max(1, round(images * share / train.batch)) * train.batch
        return train.of_images(int(images))


def read_study(path: Path) -> StudyConfig:
    """The study that a YAML file describes. ValueError: a key or a value is no good; names every one."""
    return config_of(StudyConfig, read_values(path), str(path))


def cases_of(
    study: StudyConfig, base: Path, store: str | None = None, default: str | None = None
) -> list[Case]:
    """Every case of a study, seed by seed, variant by variant, in the order of its arms.

    Args:
        study: the study.
        base: config file of its base run.
        store: stands above that of the config, where given.
        default: store for a config that names none.

    Raises:
        ValueError: overrides do not fit; every mistake of every variant and arm.
    """
    cases: list[Case] = []
    mistakes: dict[str, None] = {}
    for seed in study.seeds:
        for variant in study.variants or (None,):
            for arm in study.arms:
                row = variant.name if variant else ""
                changes = [*study.overrides, *(variant.overrides if variant else ()), *arm.overrides]
                changes += [f"train.seed={seed}"]
                changes += [
                    f"{key}=models/{case_name(study, row, start, seed)}@latest"
                    for key, start in arm.start.items()
                ]
                budget = arm.budget if arm.budget.images or arm.budget.seconds else study.budget
                try:
                    run = read_run(base, changes, store, default)
                except ValueError as error:
                    mistakes[f"arm {arm.name}{f' of {row}' if row else ''}: {error}"] = None
                    continue
                case = Case(case_name(study, row, arm.name, seed), row, arm.name, seed, run, budget)
                mistakes |= dict.fromkeys(_unmeasurable(study, case))
                cases.append(case)
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return cases


def case_name(study: StudyConfig, variant: str, arm: str, seed: int) -> str:
    """What a case's model is filed under."""
    return "-".join(filter(None, (study.name, variant, arm, str(seed))))


def waves(study: StudyConfig, cases: Sequence[Case]) -> list[list[Case]]:
    """Cases in the order in which they can be trained: those of a wave side by side, after what they start
    from. Of cases that are the same work all but the first come in a wave of their own, and find it done."""
    depths: dict[tuple[int, bool], list[Case]] = {}
    begun: set[str] = set()
    for case in cases:
        depths.setdefault((len(study.ancestors(case.arm)), case.work in begun), []).append(case)
        begun.add(case.work)
    return [depths[depth] for depth in sorted(depths)]


def needs_pace(study: StudyConfig, case: Case) -> bool:
    """Whether a case's speed is measured: its budget is time, or one of its figures is of the speed."""
    figures = (measure.figure for measure in study.measures_of(case.arm))
    return bool(case.budget.seconds) or any(figure.startswith("pace.") for figure in figures)


def _unmeasurable(study: StudyConfig, case: Case) -> Iterable[str]:
    train = case.run.train
    names = ("start", "continue_from", "encoder")
    starts = {key: text for key, text in vars(train).items() if key in names and text}
    if needs_pace(study, case) and (starts or ENCODE.is_enabled(case.run.encode)):
        what = next((f"train.{key}={text!r}" for key, text in starts.items()), "latents")
        yield (
            f"arm {case.arm}: a budget of seconds, or a figure of pace, with {what}: speeds are those from "
            "pixels and without a start or an encoder; give budget.images, and no figure of pace"
        )


def _unseeing(train: TrainConfig) -> TrainConfig:
    if not train.encoder:
        return train
    autoencoder, conditions = replace(train.autoencoder, perceptual=0.0), train.conditions
    if conditions.picture.source:  # where it is the only condition, nothing reads what all of them share
        alone = len(conditions.names) == 1
        conditions = ConditionsConfig() if alone else replace(conditions, picture=PictureConfig())
    scales = {name: scale for name, scale in (train.sampling.conditions or {}).items() if name != PICTURE}
    sampling = replace(train.sampling, conditions=scales or None)
    changed = {"alignment": AlignmentConfig(), "autoencoder": autoencoder, "conditions": conditions}
    return replace(train, encoder="", sampling=sampling, **changed)


def _unstarted(text: TextConfig) -> TextConfig:
    return replace(text, start="")
