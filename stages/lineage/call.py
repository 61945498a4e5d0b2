"""A call of a stage as whoever follows lineage sees it: it starts, and completes, fails or is aborted.

`emitted` stands around every call, also of those that find their artifact finished. Nothing happens where
nobody asked for events (`stages.lineage.settings`); where somebody did, a call only puts them into a queue.
"""

import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from stages.artifacts.artifact import Artifact, Digested
from stages.artifacts.manifest import Manifest
from stages.errors import Stopped
from stages.foreign_text import escape
from stages.lineage.emitter import emit, warn
from stages.lineage.settings import is_configured
from stages.redaction import redact, redact_url

MESSAGE = 1000
"""Characters of an error's words that an event carries."""


@dataclass(frozen=True)
class ParentRun:
    """What called the stage: a run of a flow."""

    id: uuid.UUID
    name: str
    """Of the flow."""


@dataclass(frozen=True)
class InputFacts:
    """What an event says of an input."""

    name: str
    """Of the stage's parameter."""
    namespace: str
    """URL of the store; empty: it comes from outside."""
    stage: str
    fingerprint: str
    digest: str

    @classmethod
    def of(cls, name: str, value: Digested) -> "InputFacts":
        """Those of an artifact, or of a snapshot of something outside the store."""
        if isinstance(value, Artifact):
            namespace = store_namespace(value.store.url)
            return cls(name, namespace, value.stage, value.fingerprint, value.digest)
        return cls(name, "", "", "", value.digest)


@dataclass(frozen=True)
class StageCall:
    """One call of a stage."""

    stage: str
    version: int
    kind: str
    fingerprint: str
    config_digest: str
    """64 hex digits of the canonical config."""
    namespace: str
    """URL of the store that the artifact lies in, or will."""
    inputs: tuple[InputFacts, ...]
    parent: ParentRun | None
    started: datetime
    token: str
    """Tells it apart from others of the same request at the same moment."""

    @classmethod
    def of(
        cls,
        stage: str,
        version: int,
        kind: str,
        fingerprint: str,
        config_digest: str,
        store: str,
        inputs: Mapping[str, Digested | None],
    ) -> "StageCall":
        """A call that starts now.

        Args:
            stage: name of the stage.
            version: of the stage.
            kind: of its artifact.
            fingerprint: of the request.
            config_digest: 64 hex digits of the canonical config.
            store: URL of the store.
            inputs: by the names that a manifest has for them.
        """
        facts = tuple(
            InputFacts.of(name, value)
            for name, value in inputs.items()
            # A part of an artifact (`Excerpt`) is named beside it.
            if value is not None and not isinstance(inputs.get(name.rpartition(".")[0]), Artifact)
        )
        return cls(
            stage, version, kind, fingerprint, config_digest, store_namespace(store), facts,
            _PARENT.get(), datetime.now(UTC), uuid.uuid4().hex,
        )  # fmt: skip


@dataclass(frozen=True)
class StageEvent:
    """A moment of a call: its start, or its end."""

    call: StageCall
    state: Literal["START", "COMPLETE", "FAIL", "ABORT"]
    time: datetime
    manifest: Manifest | None = None
    """Of the artifact, once there is one."""
    cached: bool = False
    """The artifact was found finished; nothing was done."""
    message: str = ""
    """Why it failed: bounded, without secrets of URLs, harmless to print."""


def emitted(call: Callable[[], StageCall], make: Callable[[], Artifact]) -> Artifact:
    """What a call of a stage gives; its events are sent beside it, if anybody asked for them.

    Args:
        call: what is called; asked only where events are wanted.
        make: does it.

    Raises:
        BaseException: what `make` raises, and nothing of its own.
    """
    if not is_configured():
        return make()
    try:
        running = call()
        emit(StageEvent(running, "START", running.started))
    except Exception as error:  # noqa: BLE001 - the stage goes on whatever its events do
        warn(error)
        return make()
    try:
        artifact = make()
    except BaseException as error:
        emit(_end(running, error))
        raise
    emit(StageEvent(running, "COMPLETE", datetime.now(UTC), artifact.manifest, artifact.cached))
    return artifact


@contextmanager
def parent_run(parent: ParentRun | None) -> Generator[None]:
    """Name what calls the stages that are called inside; None: nothing that has a run."""
    token = _PARENT.set(parent)
    try:
        yield
    finally:
        _PARENT.reset(token)


def store_namespace(url: str) -> str:
    """A store as a namespace of datasets: its URL, without secrets; "file:///..." for a folder."""
    return redact_url(url).rstrip("/") if "://" in url else Path(url).resolve().as_uri()


_PARENT: ContextVar[ParentRun | None] = ContextVar("parent_run", default=None)


def _end(call: StageCall, error: BaseException) -> StageEvent:
    """The end of a call that gave no artifact: aborted where somebody ended it, else failed."""
    time = datetime.now(UTC)
    if isinstance(error, Stopped) or not isinstance(error, Exception):
        return StageEvent(call, "ABORT", time)
    words = f"{type(error).__name__}: {error}"[: 20 * MESSAGE]  # a message can be of any length
    return StageEvent(call, "FAIL", time, message=escape(redact(words), MESSAGE))
