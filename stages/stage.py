"""Stage: a plain function from artifacts and a config to one artifact, and the decorator that does the rest.

The decorator looks the request up, takes its lease, gives the function an `Output`, and publishes what it
wrote. A stage body holds its own logic alone:

    @stage(version=1, kind="duplicates")
    def dedup(images: Artifact, config: DedupConfig, out: Output) -> Stats: ...

    duplicates = dedup(images, config, store=store)     # an Artifact; finished at once if it was made before

Retry, resume and cache hit are one act: the same call again.
"""

import inspect
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial, update_wrapper
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack

from stages.artifacts.artifact import Artifact, Digested, Funnel, Manifest, Snapshot, manifest_key
from stages.artifacts.dropping import check_stands
from stages.artifacts.excerpt import Excerpt
from stages.artifacts.lease import Lease, acquire
from stages.artifacts.leaseholder import LeaseHolder
from stages.artifacts.revision import code_revision
from stages.emptiness import emptied
from stages.errors import RetryableError, StageError, Stopped, naming_disk_faults
from stages.fingerprint import JSON, canonical_config, digest_of, fingerprint_of, request_fingerprint
from stages.foreign_text import escape
from stages.lineage.call import StageCall, emitted
from stages.output import Output, Reporter, Silent
from stages.redaction import redact_error
from stages.reporter import Wait
from stages.store import Store

Config = TypeVar("Config")
Inputs = TypeVarTuple("Inputs")
"""What a stage reads: each an artifact, an excerpt of one, a snapshot, None, or a tuple of such."""


@dataclass(frozen=True)
class Stats:
    """What a stage says of its result: the funnel over all its rows, and small facts for whoever reads it."""

    funnel: Funnel
    statistics: Mapping[str, JSON] = field(default_factory=dict[str, JSON])


@dataclass(frozen=True)
class Request(Generic[Config]):
    """What a stage's inputs are made of when a run comes to it."""

    store: Store
    name: str
    """Of the run."""
    config: Config
    read: Sequence[Artifact]
    """The results of the steps before it that it reads, in the order of the stage's parameters."""
    check: Callable[[], None]
    """Called often by what takes long; raises `Stopped` where the work shall end."""


def _no_note(config: Any, inputs: Sequence[Any]) -> Mapping[str, JSON]:
    return {}


def _always(config: Any) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What a stage is to a run, apart from its order, which is the line's to say."""

    inputs: Callable[[Request[Any]], Sequence[Any]] = attrgetter("read")
    """The stage's inputs, in its order: adds to what it reads what comes from outside the store, snapshots of
    sources and of frozen models."""
    reference: str = ""
    """What a result is filed under, "images" for images/NAME; empty: it goes by its fingerprint alone."""
    note: Callable[[Any, Sequence[Any]], Mapping[str, JSON]] = _no_note
    """(config, inputs) -> what that reference carries."""
    enabled: Callable[[Any], bool] = _always
    """Whether a run with this config has it; the steps that read it do without where not."""


READS_ARTIFACTS = StepSettings()
"""Of a stage that reads artifacts alone, and whose result goes by its fingerprint."""


class Stage(Generic[Config, *Inputs]):
    """A registered stage; calling it gives its artifact."""

    def __init__(
        self,
        function: Callable[[Unpack[Inputs], Config, Output], Stats],
        name: str,
        number: int,
        kind: str,
        step: StepSettings = READS_ARTIFACTS,
    ) -> None:
        self.function = function
        self.name = name
        self.version = number
        self.kind = kind
        self.step = step
        parameters = list(inspect.signature(function).parameters)
        assert parameters[-2:] == ["config", "out"], f"{name} must end in (config, out), has {parameters}"
        self.inputs = parameters[:-2]
        update_wrapper(self, function)

    def fingerprint(self, *inputs: *Inputs, config: Config) -> str:
        """64 hex digits that name this request. An input may be a tuple of some, each or all of them None."""
        return self._fingerprint(inputs, config)

    def _fingerprint(self, inputs: Sequence[Any], config: Any) -> str:
        digests = {name: value.digest if value else None for name, value in self._named(inputs).items()}
        return request_fingerprint(self.name, self.version, canonical_config(config), digests)

    def find(self, *inputs: *Inputs, config: Config, store: Store) -> Artifact | None:
        """The artifact of this request if it is finished."""
        return Artifact.find(store, self.name, self._fingerprint(inputs, config))

    def __call__(
        self,
        *inputs_and_config: *tuple[*Inputs, Config],
        store: Store,
        reporter: Reporter | None = None,
        run: str = "",
    ) -> Artifact:
        """The artifact of this request: found finished, or made now.

        Args:
            inputs_and_config: the inputs in the order of the function's parameters, then the config.
            store: where artifacts live.
            reporter: hears of progress and says when to stop.
            run: the name that people know the run by, for its status.

        Raises:
            ValueError: the config or an input does not fit.
            RetryableError: another try may help.
            Stopped: when asked. Whatever is raised, the store holds no half of an artifact, and the error's
                words no secrets of URLs.
        """
        *inputs, config = inputs_and_config
        try:
            fingerprint = self._fingerprint(inputs, config)
            return emitted(
                partial(self._call, inputs, config, fingerprint, store),
                partial(self._find_or_make, inputs, config, fingerprint, store, reporter or Silent(), run),
            )
        except Exception as error:
            redact_error(error)
            raise

    def _call(self, inputs: Sequence[Any], config: Any, fingerprint: str, store: Store) -> StageCall:
        config_digest = fingerprint_of(canonical_config(config))
        named = self._named(inputs)
        return StageCall.of(self.name, self.version, self.kind, fingerprint, config_digest, store.url, named)

    def _find_or_make(
        self,
        inputs: Sequence[Any],
        config: Any,
        fingerprint: str,
        store: Store,
        reporter: Reporter,
        run: str,
    ) -> Artifact:
        finished = Artifact.find(store, self.name, fingerprint)
        if finished is not None:
            return finished

        def waiting(holder: LeaseHolder) -> bool:
            wait = Wait(escape(holder), "it is done, or gone", "it works on the same")
            reporter.waiting(self.name, wait)
            reporter.progress(self.name, 0, 0, str(wait))
            return not reporter.stopping() and Artifact.find(store, self.name, fingerprint) is None

        artifacts = [value for value in self._named(inputs).values() if isinstance(value, Artifact)]
        reads = [f"{artifact.stage}/{artifact.fingerprint}" for artifact in artifacts]
        lease = acquire(store, self.name, fingerprint, waiting, reads=reads)
        if lease is None:
            finished = Artifact.find(store, self.name, fingerprint)
            if finished is None:
                raise Stopped(f"{self.name} was asked to stop while it waited for who works on the same")
            return finished
        with lease, naming_disk_faults(_place(self.name, store)):
            finished = Artifact.find(store, self.name, fingerprint)
            if finished is not None:
                return finished
            for artifact in artifacts:
                check_stands(artifact.store, artifact)
            return self._make(inputs, config, fingerprint, store, reporter, run, lease)

    def _make(
        self,
        inputs: Any,
        config: Any,
        fingerprint: str,
        store: Store,
        reporter: Reporter,
        run: str,
        lease: Lease,
    ) -> Artifact:
        canonical = canonical_config(config)
        started = _now()
        out = Output(store, self.name, self.version, canonical, fingerprint, reporter, run)
        try:
            function: Any = self.function
            stats: Stats = function(*inputs, config, out)
            if stats.funnel.rows_in and not stats.funnel.rows_out:
                out.warn(emptied(self.name, stats.funnel))
            out.publish_written()
        finally:
            out.close()
        manifest = Manifest(
            fingerprint=fingerprint,
            digest=digest_of({name: entry.sha256 for name, entry in out.files.items()}),
            kind=self.kind,
            stage=self.name,
            version=self.version,
            config=canonical,
            inputs={name: _input_record(value) for name, value in self._named(inputs).items()},
            funnel=stats.funnel,
            statistics={
                **stats.statistics,
                "parts": {"made": out.parts_made, "found": out.parts_found},
                **({"warnings": out.warnings} if out.warnings else {}),
            },
            files=dict(sorted(out.files.items())),
            code=code_revision(),
            libraries=_libraries(),
            started=started,
            ended=_now(),
            host=platform.node(),
        )
        if lease.lapsed():  # then gc may have taken this run for dead, and swept parts that it had found
            gone = sorted(name for name, entry in out.files.items() if not store.exists(entry.key))
            if gone:
                raise RetryableError(f"{self.name} was stopped for so long that {', '.join(gone)} were swept")
        first = store.create(manifest_key(self.name, fingerprint), manifest.to_json())
        for act in out.callbacks:
            with suppress(StageError, OSError):  # what is left behind is garbage, and gc's
                act()
        # The first publisher stands.
        return (
            Artifact(store, manifest, cached=False) if first else Artifact.open(store, self.name, fingerprint)
        )

    def _named(self, inputs: Sequence[Any]) -> dict[str, Digested | None]:
        if len(inputs) != len(self.inputs):
            raise TypeError(f"{self.name} takes ({', '.join(self.inputs)}), got {len(inputs)} inputs")
        named: dict[str, Digested | None] = {}
        for name, value in zip(self.inputs, inputs, strict=True):
            if isinstance(value, tuple):
                several: Sequence[Digested | None] = value
                named |= {f"{name}.{number}": each for number, each in enumerate(several)}
            elif isinstance(value, Excerpt):
                named |= {name: value.artifact, f"{name}.{value.name}": Snapshot(value.digest)}
            else:
                named[name] = value
        return named


AnyStage = Stage[Any, *tuple[Any, ...]]
"""A stage, whatever it reads."""


@dataclass(frozen=True, kw_only=True)
class stage:  # noqa: N801 -- a decorator
    """Makes a function a stage."""

    version: int
    """Raised whenever the same request would give another result."""
    kind: str
    """What the artifact is, in one word; `stages.registry` says what that is to the rest."""
    name: str = ""
    """Of the stage; empty: the function's name, without a trailing underscore."""
    step: StepSettings = READS_ARTIFACTS
    """What it is to a run."""

    def __call__(self, function: Callable[[*Inputs, Config, Output], Stats]) -> Stage[Config, *Inputs]:
        name = self.name or function.__name__.rstrip("_")
        return Stage(function, name, self.version, self.kind, self.step)


def _place(name: str, store: Store) -> str:
    """Where a stage reads and writes, for a message on a disk that it could not."""
    return f"{name}, which reads store {store.url} and works in {store.scratch()}"


def _input_record(value: Digested | None) -> dict[str, str] | None:
    """What a manifest has of an input."""
    if value is None:
        return None
    if isinstance(value, Artifact):
        return {"digest": value.digest, "fingerprint": value.fingerprint, "stage": value.stage}
    return {"digest": value.digest, "fingerprint": "", "stage": ""}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@cache
def _libraries() -> dict[str, str]:
    """Versions of what results depend on."""
    names = ("numpy", "pyarrow", "pillow", "torch", "open-clip-torch", "img2dataset", "duckdb", "prefect")
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # a deploy machine may lack it
            continue
    return versions
