"""A step of the line without Prefect: a stage, what it reads, and the name that its result goes by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stages.artifacts.artifact import Artifact
from stages.artifacts.names import check_name
from stages.artifacts.reference import Reference, is_released, refer, references
from stages.config.expectations import ExpectConfig
from stages.config.run import DatasetRun, Run
from stages.errors import Stopped
from stages.expectations import refer_judged
from stages.fingerprint import short_hash
from stages.foreign_text import escape
from stages.output import Reporter
from stages.stage import AnyStage, Request
from stages.store import Store, open_store

REASON = 500
"""Characters that are shown of why a version is on hold."""


@dataclass(frozen=True)
class RunContext:
    """Where a run's results live, and the name that people know them by."""

    store: str
    name: str
    title: str = ""
    """What its steps are told apart by on screens, where several runs work side by side."""
    expect: ExpectConfig | None = None
    """What a dataset's version must be to be learned from; None outside a run: whatever comes."""

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def prefix(self) -> str:
        """What stands before a step's name on screens."""
        return f"{self.title} " if self.title else ""

    @classmethod
    def of(cls, run: DatasetRun) -> "RunContext":
        """The home that a run's config names."""
        return cls(run.store, run.name, expect=run.expect)


@dataclass(frozen=True)
class Result:
    """A finished artifact as steps hand it on: small, and good for everybody who reaches the store."""

    store: str
    stage: str
    fingerprint: str
    digest: str
    cached: bool = False
    """It was found finished; nothing was done."""

    @classmethod
    def of(cls, artifact: Artifact, store: str) -> "Result":
        """What to hand on of an artifact."""
        return cls(store, artifact.stage, artifact.fingerprint, artifact.digest, artifact.cached)

    def open(self) -> Artifact:
        """The artifact itself."""
        return Artifact.open(open_store(self.store, writable=False), self.stage, self.fingerprint)

    def __str__(self) -> str:
        return f"{self.stage}/{short_hash(self.fingerprint)}"


def _check(step: str, reporter: Reporter | None) -> None:
    if reporter is not None and reporter.stopping():
        raise Stopped(f"{step} was asked to stop before it began; nothing is lost")


@dataclass(frozen=True)
class Step:
    """One stop of the line."""

    stage: AnyStage
    """What is done."""
    reads: tuple[str, ...] = ()
    """Names of the steps whose results it reads, in order."""

    @property
    def name(self) -> str:
        return self.stage.name

    def is_enabled(self, config: Any) -> bool:
        """Whether a run with this config of the step has it; the steps that read it do without where not."""
        return self.stage.step.enabled(config)

    def find(self, store: Store, name: str, config: Any, read: Sequence[Artifact]) -> Artifact | None:
        """Its result, if that is finished."""
        request = Request(store, name, config, read, partial(_check, self.name, None))
        return self.stage.find(*self.stage.step.inputs(request), config=config, store=store)

    def run(
        self,
        store: Store,
        name: str,
        config: Any,
        read: Sequence[Artifact],
        reporter: Reporter | None = None,
        expect: ExpectConfig | None = None,
    ) -> Artifact:
        """Its result, found finished or made now, and filed under the run's name.

        Args:
            store: where results live.
            name: of the run.
            config: of the stage.
            read: results of the steps that `reads` names.
            reporter: hears of progress, and of a dataset that is put on hold, and says when to stop.
            expect: what a dataset must be to be learned from; None outside a run.
        """
        step = self.stage.step
        inputs = step.inputs(Request(store, name, config, read, partial(_check, self.name, reporter)))
        artifact = self.stage(*inputs, config, store=store, reporter=reporter, run=name)
        if step.reference and artifact.kind == "dataset":
            entry = refer_judged(store, f"{step.reference}/{name}", artifact, expect)
            if reporter is not None and not is_released(store, entry):
                reporter.warn(self.name, on_hold_message(entry))
        elif step.reference:
            refer(store, f"{step.reference}/{name}", artifact, step.note(config, inputs))
        return artifact


def on_hold_message(entry: Reference) -> str:
    """Why a version is on hold, and what to do."""
    why = "; ".join(escape(reason, REASON) for reason in entry.on_hold)
    remedy = f'nothing learns from it until `sdflow approve {entry} --why "..."` lets it through'
    return f"{entry} is on hold: {why}; {remedy}"


def entry_on_hold(store: Store, name: str, fingerprint: str) -> Reference | None:
    """The newest entry of datasets/NAME by which a dataset is on hold; None where it may be used, by any of
    its entries, or is not filed."""
    entries = [entry for entry in references(store, f"datasets/{name}") if entry.fingerprint == fingerprint]
    if not entries or any(is_released(store, entry) for entry in entries):
        return None
    return entries[-1]


def check_released(store: Store, name: str, read: Iterable[Artifact]) -> None:
    """Refuse to go on from a run's own dataset while that is on hold.

    Args:
        store: where results live.
        name: of the run.
        read: what a step of the run is about to read.

    Raises:
        ValueError: a dataset among it is on hold under the run's name; says why, and what lets it through.
    """
    for artifact in read:
        if artifact.kind == "dataset" and (entry := entry_on_hold(store, name, artifact.fingerprint)):
            raise ValueError(on_hold_message(entry))


def reads(steps: Mapping[str, Step], name: str, run: Run) -> list[str]:
    """The steps that one reads in this run: those that its config leaves out are none."""
    return [before for before in steps[name].reads if steps[before].is_enabled(getattr(run, before))]


def existing_store(url: str) -> Store | None:
    """A run's store, opened for reading; None where its folder is not made yet.

    Raises:
        ValueError: it is no store that can be read.
    """
    local = "://" not in url or url.startswith("file://")
    if local and not Path(url.removeprefix("file://")).expanduser().exists():
        return None
    return open_store(url, writable=False)


def finished(steps: Mapping[str, Step], name: str, run: Run, store: Store) -> Artifact:
    """The finished result of a step for a run's config, found through the results of the steps before it.

    Args:
        steps: the line, by name.
        name: of the step.
        run: the config.
        store: where results live.

    Raises:
        ValueError: it, or one before it, is not finished; names the first that is missing.
    """
    step = steps[name]
    read = [finished(steps, before, run, store) for before in reads(steps, name, run)]
    artifact = step.find(store, run.name, getattr(run, name), read)
    if artifact is None:
        raise ValueError(
            f"{name} is not finished for this config in {store.url}; run `sdflow stage {name}` first"
        )
    return artifact
