"""`StudyConfig`: everything that can be chosen of a study, a controlled comparison of trainings (an ablation,
a sweep, a benchmark of parts)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval, MaxLen, MinLen

from flows.study.measures import PATH, PATH_MEANING, REFERENCES
from sdmodel.config.limits import Amount, Config, Mistake, Pattern, Seconds, Seed, Word
from stages.artifacts.names import LONGEST, MEANING, PATTERN

Name = Annotated[str, MaxLen(LONGEST), Pattern(PATTERN, MEANING)]
Figure = Annotated[str, MaxLen(LONGEST), Pattern(PATH, PATH_MEANING)]
Text = Annotated[str, MaxLen(10_000)]


@dataclass(frozen=True, kw_only=True)
class BudgetConfig(Config):
    """What a training may take; with neither, it is what its config says (`train.images`)."""

    images: Amount = 0
    """Images to see; 0 leaves that to `seconds`."""
    seconds: Seconds = 0.0
    """Time to learn for, in seconds. How many images that is, in whole batches, is settled before by
    measuring the training's speed on this machine (see stages/forecast/pace.py), so that a repetition is the
    same training. 0 leaves it to `images`."""

    def conflicts(self) -> Iterator[Mistake]:
        """Two budgets."""
        if self.images and self.seconds:
            yield self.mistake("give one of them", "images", "seconds")


@dataclass(frozen=True, kw_only=True)
class VariantConfig(Config):
    """A row of the study's table: overrides with which every arm is trained."""

    name: Name
    """Part of its cases' names: lower-case words, digits, "-", "_" and "."."""
    title: Text = ""
    """What the page calls it; empty: its name."""
    overrides: tuple[Word, ...] = ()
    """Overrides of the base run, KEY=VALUE as in `sdflow run --set`."""


@dataclass(frozen=True, kw_only=True)
class ArmConfig(Config):
    """An arm of the study: overrides of the base run, and what it starts from."""

    name: Name
    """Part of its cases' names: lower-case words, digits, "-", "_" and "."."""
    title: Text = ""
    """What the page calls it; empty: its name."""
    overrides: tuple[Word, ...] = ()
    """Overrides of the base run, KEY=VALUE as in `sdflow run --set`; they stand above the variant's."""
    start: dict[str, Name] = field(default_factory=dict[str, str])
    """Config key -> arm whose model stands there, of the same variant and seed, as {train.text.start:
    pretrained}."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """Its own budget; with neither images nor seconds the study's."""


@dataclass(frozen=True, kw_only=True)
class MeasureConfig(Config):
    """A figure that is compared: columns of the table."""

    name: Word
    """What the page calls it."""
    figure: Figure
    """Path of the figure: "evaluation." and a path into report.json (evaluation.oracle.all), "train." into
    the model's statistics (train.loss), or "pace." into the measured speed (pace.images_per_second)."""
    arms: tuple[Name, ...] = ()
    """Arms of which it is taken; none named: of all."""
    better: Literal["higher", "lower"] = "higher"
    """Which value is the better one."""
    compared: bool = True
    """Give intervals, and say which differences are decided; false shows means alone."""
    questions: Annotated[str, Pattern(f"({PATH})?", PATH_MEANING)] = ""
    """Of a share: path of the number of questions that it is a share of, so that intervals are never narrower
    than so few answers allow."""
    digits: Annotated[int, Interval(ge=0, le=9)] = 3
    """Decimal places in the table."""
    table: Text = ""
    """Title of the further table that it stands in; empty: the first."""
    reference: Text = ""
    """Known value to compare with, of flows/study/measures.py, as bag-of-words; empty: none."""


@dataclass(frozen=True, kw_only=True)
class HalvingConfig(Config):
    """Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943): all arms get a small budget, the best
    of them a larger one, and so on."""

    measure: Text = ""
    """Name of the measure by whose mean over seeds arms go on; its arms take part, with each variant. Empty:
    every arm gets the whole budget at once."""
    factor: Annotated[int, Interval(ge=2, le=100)] = 2
    """The best 1/factor go on, with factor times the budget."""
    rungs: Annotated[int, Interval(ge=2, le=20)] = 3
    """Rounds; the last one has the whole budget. Each trains anew, since schedules end with the budget."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig(Config):
    """A study: the same base run with other settings, several seeds each."""

    name: Name
    """Names the cases' models and evaluations, as NAME-VARIANT-ARM-SEED."""
    title: Text = ""
    """Of the page; empty: the name."""
    about: Text = ""
    """What the page says below its first table, in Markdown."""
    base: Word
    """Config file of the base run, as of `sdflow run`; a path from the study's file. Its name, and an
    override of it, names the dataset."""
    overrides: tuple[Word, ...] = ()
    """Overrides of the base run for all cases, KEY=VALUE."""
    seeds: Annotated[tuple[Seed, ...], MinLen(1)] = (0, 1, 2)
    """Each is `train.seed` of every arm once; intervals are over them."""
    paired: bool = True
    """Compare arms seed by seed (paired differences), which share data order and noise; false compares
    intervals of means."""
    confidence: Annotated[float, Interval(gt=0, lt=1)] = 0.95
    """Of intervals."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """Of each case, unless its arm has one."""
    measuring: Annotated[float, Interval(gt=0, le=3600)] = 8.0
    """Seconds that each speed is measured for."""
    variants: tuple[VariantConfig, ...] = ()
    """Rows of the table, with each of which all arms are trained; none: the arms are the rows."""
    arms: Annotated[tuple[ArmConfig, ...], MinLen(1)]
    """What is compared."""
    measures: Annotated[tuple[MeasureConfig, ...], MinLen(1)]
    """By which figures."""
    halving: HalvingConfig = field(default_factory=HalvingConfig)
    """Whether arms that do badly with a part of the budget are dropped."""

    def conflicts(self) -> Iterator[Mistake]:
        """Names that come twice or name nothing; arms that start from themselves, or from what is dropped."""
        names = {
            "arms": [arm.name for arm in self.arms],
            "variants": [variant.name for variant in self.variants],
            "measures": [measure.name + measure.table for measure in self.measures],
            "seeds": self.seeds,
        }
        for key, values in names.items():
            for value in (value for value, count in Counter(values).items() if count > 1):
                yield Mistake({key: value}, "comes twice; name each once")
        for place, arm in enumerate(self.arms):
            yield from _unknown(f"arms.{place}.start", arm.start.values(), names["arms"])
            if arm.name in self.ancestors(arm.name):
                yield Mistake({f"arms.{place}.start": arm.start}, "would start from itself")
            for start in arm.start.values():
                if start in self.raced:
                    yield Mistake({f"arms.{place}.start": start}, "may be dropped by halving; see its arms")
        for place, measure in enumerate(self.measures):
            yield from _unknown(f"measures.{place}.arms", measure.arms, names["arms"])
            yield from _unknown(f"measures.{place}.reference", [measure.reference], ["", *REFERENCES])
        measures = ["", *(measure.name for measure in self.measures)]
        yield from _unknown("halving.measure", [self.halving.measure], measures)

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


def _unknown(key: str, names: Iterable[str], known: Iterable[object]) -> Iterator[Mistake]:
    allowed = list(known)
    for name in names:
        if name not in allowed:
            yield Mistake({key: name}, f"is unknown; known: {', '.join(filter(None, map(str, allowed)))}")
