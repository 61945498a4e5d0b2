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
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, update_wrapper
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.artifacts.artifact import Artifact, Digested, Funnel, Manifest, manifest_key
from stages.artifacts.lease import Lease, acquire
from stages.artifacts.leaseholder import LeaseHolder
from stages.emptiness import emptied
from stages.errors import RetryableError, StageError, Stopped, naming_disk_faults
from stages.fingerprint import JSON, canonical_config, digest_of, request_fingerprint
from stages.output import Output, Reporter, Silent
from stages.redaction import redact_error
from stages.store import Store


@dataclass(frozen=True)
class Stats:
    """What a stage says of its result: the funnel over all its rows, and small facts for whoever reads it."""

    funnel: Funnel
    statistics: Mapping[str, JSON] = field(default_factory=dict[str, JSON])


class Stage:
    """A registered stage; calling it gives its artifact."""

    def __init__(self, function: Callable[..., Stats], name: str, number: int, kind: str) -> None:
        self.function = function
        self.name = name
        self.version = number
        self.kind = kind
        parameters = list(inspect.signature(function).parameters)
        assert parameters[-2:] == ["config", "out"], f"{name} must end in (config, out), has {parameters}"
        self.inputs = parameters[:-2]
        update_wrapper(self, function)

    def fingerprint(self, *inputs: Digested | None, config: Any) -> str:
        """64 hex digits that name this request. An input may be a tuple of some, each or all of them None."""
        digests = {name: value.digest if value else None for name, value in self._named(inputs).items()}
        return request_fingerprint(self.name, self.version, canonical_config(config), digests)

    def find(self, *inputs: Digested | None, config: Any, store: Store) -> Artifact | None:
        """The artifact of this request if it is finished."""
        return Artifact.find(store, self.name, self.fingerprint(*inputs, config=config))

    def __call__(self, *inputs_and_config: Any, store: Store, reporter: Reporter | None = None) -> Artifact:
        """The artifact of this request: found finished, or made now.

        Args:
            inputs_and_config: the inputs in the order of the function's parameters, then the config.
            store: where artifacts live.
            reporter: hears of progress and says when to stop.

        Raises:
            ValueError: the config or an input does not fit.
            RetryableError: another try may help.
            Stopped: when asked. Whatever is raised, the store holds no half of an artifact, and the error's
                words no secrets of URLs.
        """
        try:
            return self._found_or_made(*inputs_and_config, store=store, reporter=reporter or Silent())
        except Exception as error:
            redact_error(error)
            raise

    def _found_or_made(self, *inputs_and_config: Any, store: Store, reporter: Reporter) -> Artifact:
        *inputs, config = inputs_and_config
        fingerprint = self.fingerprint(*inputs, config=config)
        found = Artifact.find(store, self.name, fingerprint)
        if found is not None:
            return found

        def waiting(holder: LeaseHolder) -> bool:
            reporter.progress(self.name, 0, 0, f"waiting for {holder}, who works on the same")
            return not reporter.stopping() and Artifact.find(store, self.name, fingerprint) is None

        lease = acquire(store, self.name, fingerprint, waiting)
        if lease is None:
            found = Artifact.find(store, self.name, fingerprint)
            if found is None:
                raise Stopped(f"{self.name} was asked to stop while it waited for who works on the same")
            return found
        with lease, naming_disk_faults(_place(self.name, store)):
            return Artifact.find(store, self.name, fingerprint) or self._make(
                inputs, config, fingerprint, store, reporter, lease
            )

    def _make(
        self,
        inputs: list[Digested | None],
        config: Any,
        fingerprint: str,
        store: Store,
        reporter: Reporter,
        lease: Lease,
    ) -> Artifact:
        canonical = canonical_config(config)
        started = _now()
        out = Output(store, self.name, self.version, canonical, fingerprint, reporter)
        try:
            stats = self.function(*inputs, config, out)
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
            inputs={name: _said(one) for name, one in self._named(inputs).items()},
            funnel=stats.funnel,
            statistics={
                **stats.statistics,
                "parts": {"made": out.parts_made, "found": out.parts_found},
                **({"warnings": out.warnings} if out.warnings else {}),
            },
            files=dict(sorted(out.files.items())),
            code=_code_revision(),
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

    def _named(
        self, inputs: "tuple[Digested | None, ...] | list[Digested | None]"
    ) -> dict[str, Digested | None]:
        if len(inputs) != len(self.inputs):
            raise TypeError(f"{self.name} takes ({', '.join(self.inputs)}), got {len(inputs)} inputs")
        named: dict[str, Digested | None] = {}
        for name, one in zip(self.inputs, inputs, strict=True):
            several = one if isinstance(one, tuple) else None
            named |= (
                {name: one} if several is None else {f"{name}.{n}": each for n, each in enumerate(several)}
            )
        return named


def stage(*, version: int, kind: str, name: str | None = None) -> Callable[[Callable[..., Stats]], Stage]:
    """Make a function a stage.

    Args:
        version: raised whenever the same request would give another result.
        kind: what the artifact is, in one word.
        name: of the stage; the function's name, without a trailing underscore, where None.
    """

    def decorate(function: Callable[..., Stats]) -> Stage:
        return Stage(function, name or function.__name__.rstrip("_"), version, kind)

    return decorate


def _place(name: str, store: Store) -> str:
    """Where a stage reads and writes, for a message on a disk that it could not."""
    return f"{name}, which reads store {store.url} and works in {store.scratch()}"


def _said(one: Digested | None) -> dict[str, str] | None:
    if one is None:
        return None
    if isinstance(one, Artifact):
        return {"digest": one.digest, "fingerprint": one.fingerprint, "stage": one.stage}
    return {"digest": one.digest, "fingerprint": "", "stage": ""}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@cache
def _code_revision() -> str:
    """The revision of the running code, "+changes" if it was edited; the package's version without git."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--abbrev=40"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        return described.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"sdflow {version('sdflow')}"


@cache
def _libraries() -> dict[str, str]:
    """Versions of what results depend on."""
    names = ("numpy", "pyarrow", "pillow", "torch", "open-clip-torch", "img2dataset", "duckdb", "prefect")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a deploy machine may lack it
            continue
    return found
