"""`StudyConfig`: everything that can be chosen of a study, a controlled comparison of trainings (an ablation,
a sweep, a benchmark of parts)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from flows.study.measures import REFERENCES, ROOTS
from sdmodel.config.limits import FORM
from stages.artifacts.names import check_name

Least0 = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """What a training may take; with neither, it is what its config says (`train.images`)."""

    __pydantic_config__ = FORM
    images: Least0 = 0
    """Images to see; 0 leaves that to `seconds`."""
    seconds: Annotated[float, Field(ge=0)] = 0.0
    """Time to learn for, in seconds. How many images that is, in whole batches, is settled before by
    measuring the training's speed on this machine (see stages/forecast/pace.py), so that a repetition is the
    same training. 0 leaves it to `images`."""


@dataclass(frozen=True, kw_only=True)
class VariantConfig:
    """A row of the study's table: overrides with which every arm is trained."""

    __pydantic_config__ = FORM
    name: str
    """Part of its cases' names: lower-case words, digits, "-", "_" and "."."""
    title: str = ""
    """What the page calls it; empty: its name."""
    overrides: tuple[str, ...] = ()
    """Overrides of the base run, KEY=VALUE as in `sdflow run --set`."""


@dataclass(frozen=True, kw_only=True)
class ArmConfig:
    """An arm of the study: overrides of the base run, and what it starts from."""

    __pydantic_config__ = FORM
    name: str
    """Part of its cases' names: lower-case words, digits, "-", "_" and "."."""
    title: str = ""
    """What the page calls it; empty: its name."""
    overrides: tuple[str, ...] = ()
    """Overrides of the base run, KEY=VALUE as in `sdflow run --set`; they stand above the variant's."""
    start: Mapping[str, str] = field(default_factory=dict[str, str])
    """Config key -> arm whose model stands there, of the same variant and seed, as {train.text.start:
    pretrained}."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """Its own budget; with neither images nor seconds the study's."""


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """A figure that is compared: columns of the table."""

    __pydantic_config__ = FORM
    name: str
    """What the page calls it."""
    figure: str
    """Path of the figure: "evaluation." and a path into report.json (evaluation.oracle.all), "train." into
    the model's statistics (train.loss), or "pace." into the measured speed (pace.images_per_second)."""
    arms: tuple[str, ...] = ()
    """Arms of which it is taken; none named: of all."""
    better: Literal["higher", "lower"] = "higher"
    """Which value is the better one."""
    compared: bool = True
    """Give intervals, and say which differences are decided; false shows means alone."""
    questions: str = ""
    """Of a share: path of the number of questions that it is a share of, so that intervals are never narrower
    than so few answers allow."""
    digits: Annotated[int, Field(ge=0, le=9)] = 3
    """Decimal places in the table."""
    table: str = ""
    """Title of the further table that it stands in; empty: the first."""
    reference: str = ""
    """Known value to compare with, of flows/study/measures.py, as bag-of-words; empty: none."""


@dataclass(frozen=True, kw_only=True)
class HalvingConfig:
    """Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943): all arms get a small budget, the best
    of them a larger one, and so on."""

    __pydantic_config__ = FORM
    measure: str = ""
    """Name of the measure by whose mean over seeds arms go on; its arms take part, with each variant. Empty:
    every arm gets the whole budget at once."""
    factor: Annotated[int, Field(ge=2)] = 2
    """The best 1/factor go on, with factor times the budget."""
    rungs: Annotated[int, Field(ge=2)] = 3
    """Rounds; the last one has the whole budget. Each trains anew, since schedules end with the budget."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A study: the same base run with other settings, several seeds each."""

    __pydantic_config__ = FORM
    name: str
    """Names the cases' models and evaluations, as NAME-VARIANT-ARM-SEED."""
    title: str = ""
    """Of the page; empty: the name."""
    about: str = ""
    """What the page says below its first table, in Markdown."""
    base: str
    """Config file of the base run, as of `sdflow run`; a path from the study's file. Its name, and an
    override of it, names the dataset."""
    overrides: tuple[str, ...] = ()
    """Overrides of the base run for all cases, KEY=VALUE."""
    seeds: Annotated[tuple[Least0, ...], Field(min_length=1)] = (0, 1, 2)
    """Each is `train.seed` of every arm once; intervals are over them."""
    paired: bool = True
    """Compare arms seed by seed (paired differences), which share data order and noise; false compares
    intervals of means."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Of intervals."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """Of each case, unless its arm has one."""
    measuring: Annotated[float, Field(gt=0)] = 8.0
    """Seconds that each speed is measured for."""
    variants: tuple[VariantConfig, ...] = ()
    """Rows of the table, with each of which all arms are trained; none: the arms are the rows."""
    arms: Annotated[tuple[ArmConfig, ...], Field(min_length=1)]
    """What is compared."""
    measures: Annotated[tuple[MeasureConfig, ...], Field(min_length=1)]
    """By which figures."""
    halving: HalvingConfig = field(default_factory=HalvingConfig)
    """Whether arms that do badly with a part of the budget are dropped."""

    def __post_init__(self) -> None:
        """ValueError: names that are none, come twice or name nothing; names every mistake."""
        if mistakes := list(self._mistakes()):
            raise ValueError("; ".join(mistakes))

    def _mistakes(self) -> Iterator[str]:
        arms = {arm.name: arm for arm in self.arms}
        named = {"arms": list(arms), "variants": [variant.name for variant in self.variants]}
        for name in (self.name, *named["arms"], *named["variants"]):
            try:
                check_name(name)
            except ValueError as error:
                yield str(error)
        yield from _repeated("arms", (arm.name for arm in self.arms))
        yield from _repeated("variants", named["variants"])
        yield from _repeated("seeds", self.seeds)
        yield from _repeated("measures", (measure.name + measure.table for measure in self.measures))
        for arm in self.arms:
            yield from _unknown(f"arm {arm.name}: start", arm.start.values(), arms)
            if arm.name in self.ancestors(arm.name):
                yield f"arm {arm.name}: start={dict(arm.start)}: it would start from itself"
        for where, budget in (
            ("budget", self.budget),
            *((f"arm {a.name}: budget", a.budget) for a in self.arms),
        ):
            if budget.images and budget.seconds:
                yield f"{where} has images={budget.images} and seconds={budget.seconds:g}: give one of them"
        for measure in self.measures:
            where = f"measure {measure.name}"
            yield from _unknown(f"{where}: arms", measure.arms, arms)
            yield from _unknown(f"{where}: reference", filter(None, [measure.reference]), REFERENCES)
            for path in filter(None, (measure.figure, measure.questions)):
                yield from _unknown(f"{where}: {path} begins with", [path.partition(".")[0]], ROOTS)
        if self.halving.measure:
            yield from _unknown("halving.measure", [self.halving.measure], [m.name for m in self.measures])
            for arm in self.arms:
                for start in arm.start.values():
                    if start in self.raced:
                        yield f"halving may drop arm {start}, from which {arm.name} starts"

    def ancestors(self, arm: str) -> set[str]:
        """Arms that one starts from, directly or not."""
        starts = {each.name: set(each.start.values()) for each in self.arms}
        reached: set[str] = set()
        ahead = set(starts.get(arm, set()))
        while ahead:
            reached |= ahead
            ahead = {before for name in ahead for before in starts.get(name, set())} - reached
        return reached

    @property
    def raced(self) -> tuple[str, ...]:
        """Arms that halving may drop."""
        measure = next((each for each in self.measures if each.name == self.halving.measure), None)
        return self.arms_of(measure) if measure else ()

    def arms_of(self, measure: MeasureConfig) -> tuple[str, ...]:
        """Arms of which a measure is taken, in the study's order."""
        return tuple(arm.name for arm in self.arms if not measure.arms or arm.name in measure.arms)

    def measures_of(self, arm: str) -> list[MeasureConfig]:
        """Measures that are taken of an arm."""
        return [measure for measure in self.measures if arm in self.arms_of(measure)]


def _repeated(what: str, names: Iterable[object]) -> Iterator[str]:
    twice = [str(name) for name, count in Counter(names).items() if count > 1]
    if twice:
        yield f"{what}: {', '.join(twice)} comes twice; name each once"


def _unknown(what: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    yield from (
        f"{what} {name!r} is unknown; known: {', '.join(known)}" for name in names if name not in known
    )
