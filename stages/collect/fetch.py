"""A part of URLs, through img2dataset's `Downloader` with our opener underneath.

The bytes stay as they came (`disable_all_reencoding`: its re-encoding drops EXIF orientation and turns
16-bit greys white), and since it then never decodes, every body is judged here as it arrives. A question is
asked once: what failed and may pass is asked again in a later round, see `rounds`.

The `Downloader` gets a URL with the key of its question as fragment; the opener takes that off.
"""

import importlib
import io
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pyarrow as pa

from stages.collect.crew import Crew
from stages.collect.intake import Intake
from stages.collect.judge import Verdict
from stages.collect.outcome import close_part
from stages.collect.pack import Pack
from stages.collect.web.answer import FetchRecord, FetchRequest
from stages.collect.web.opener import Opener
from stages.collect.web.url import host_of
from stages.errors import RetryableError
from stages.output import Made


@dataclass(frozen=True, kw_only=True)
class FetchPart:
    """What a part asks for."""

    asks: Sequence[FetchRequest]


def fetch(folder: Path, part: FetchPart, crew: Crew) -> Made:
    """Make a part: `outcomes.parquet`, `answers.parquet` and `tars/...` below `folder`."""
    assert crew.opener is not None
    host_of_key = {ask.key: host_of(ask.url) for ask in part.asks}

    def heard(key: str, verdict: Verdict, size: int) -> None:
        crew.tally.heard(host_of_key[key], verdict.reason, size)

    with Pack(folder.with_name(folder.name + ".spool")) as pack:
        intake = Intake(pack, crew.sandbox, crew.forgotten, heard)
        sink = _Sink(intake, crew.opener)
        crew.opener.expect(part.asks)
        try:
            _download(part.asks, crew, sink, folder.parent)
        finally:
            verdicts = intake.finish()
        if crew.ending.is_set():
            raise RetryableError("the collection ended before this part did")
        return close_part(folder, verdicts, pack, crew.rules, sink.answers.values())


class _Sink:
    """Stands where the downloader expects its sample writer: hands bodies on, and hears why there is none."""

    def __init__(self, intake: Intake, opener: Opener) -> None:
        self._intake = intake
        self._opener = opener
        self.answers: dict[str, FetchRecord] = {}
        self.failure: Exception | None = None

    def write(self, body: bytes | None, key: str, caption: None, meta: Mapping[str, Any]) -> None:
        """Called by one thread for each row; what it raised would be printed and forgotten, so it is kept."""
        try:
            question = str(meta["url"]).rpartition("#")[2]
            answers = self._opener.answers([question])
            if not answers:  # an error that the opener has no word for: a mistake of ours
                raise AssertionError(meta["error_message"])
            answer = self.answers[question] = answers[0]
            if answer.reason is not None or answer.unchanged:
                self._intake.refuse(question, Verdict(answer.reason or "", answer.detail))
            else:
                assert body is not None, meta["error_message"]
                self._intake.take(question, body)
        except Exception as error:  # noqa: BLE001 - raised again in `_download`
            self.failure = self.failure or error

    def close(self) -> None:
        """Nothing to close: the pack is written when all is judged."""


def _download(asks: Sequence[FetchRequest], crew: Crew, sink: _Sink, scratch: Path) -> None:
    with TemporaryDirectory(dir=scratch) as name:
        shard = f"{name}/urls.arrow"
        table = pa.table({"url": pa.array([f"{ask.url}#{ask.key}" for ask in asks], pa.string())})
        with pa.OSFile(shard, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        downloader = _downloader()(
            sample_writer_class=lambda *_: sink,
            resizer=_as_it_came,
            thread_count=min(crew.threads, len(asks)),
            save_caption=False,
            extract_exif=False,
            output_folder=name,
            column_list=["url"],
            timeout=crew.rules.deadline,
            number_sample_per_shard=len(asks),
            oom_shard_count=5,
            compute_hash=None,
            verify_hash_type=None,
            encode_format="jpg",
            retries=0,
            user_agent_token=None,
            disallowed_header_directives=None,
        )
        # not `downloader(...)`, which prints and forgets exceptions
        downloader.download_shard((0, shard))
    if sink.failure is not None:
        raise sink.failure
    lost = {ask.key for ask in asks} - sink.answers.keys()
    if lost:
        raise RetryableError(f"the downloader lost {len(lost)} rows; its output says why")


def _as_it_came(stream: io.BytesIO, boxes: None) -> tuple[bytes, None, None, None, None, None]:
    """What img2dataset's `Resizer` does with `disable_all_reencoding`."""
    return stream.read(), None, None, None, None, None


_LOADING = threading.Lock()


def _downloader() -> Any:
    with _LOADING:  # parts are threads, and while it is loaded the package's module is not what it seems
        return _loaded()


@cache
def _loaded() -> Any:
    """img2dataset's `Downloader` without what its package imports at its top, and without wandb.

    The first are torch, OpenCV, pandas and albumentations, for the re-encoding and the reading that are not
    used here; the second serves a logger of its main process: 13 s and 400 MB, against 0.02 s (on two
    cores). So the package's own module and wandb's stand aside meanwhile.
    """
    name = "img2dataset"
    if name in sys.modules:
        return importlib.import_module(f"{name}.downloader").Downloader
    spec = find_spec(name)
    assert spec is not None, f"{name} is not installed"
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[name] = package
    aside = ModuleType("wandb")
    sys.modules.setdefault("wandb", aside)
    try:
        return importlib.import_module(f"{name}.downloader").Downloader
    finally:
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            del sys.modules[module]
        if sys.modules["wandb"] is aside:
            del sys.modules["wandb"]
