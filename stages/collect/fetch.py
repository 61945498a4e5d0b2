"""A part of rows with URLs, through img2dataset's `Downloader` with our opener underneath.

The bytes stay as they came (`disable_all_reencoding`: its re-encoding drops EXIF orientation and turns
16-bit greys white), and since it then never decodes, every body is judged here as it arrives. Rows whose
failure may pass are asked again in further rounds over the whole part, each after a longer pause, so that
no host is asked twice at once.
"""

import importlib
import io
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.collect.address import forbidden
from stages.collect.connection import Guard
from stages.collect.judge import Rules, Verdict, judge
from stages.collect.opener import Exchange, Opener, installed
from stages.collect.outcome import close_part
from stages.collect.pack import Pack
from stages.errors import RetryableError
from stages.output import Made
from stages.reasons import RETRYABLE, Reason

PAUSE_SECONDS = 0.5
"""Before the first further round; doubled before each one after it."""

EXCHANGES = pa.schema(
    [
        ("uid", pa.string()),
        ("round", pa.int32()),
        ("final_url", pa.string()),
        ("status", pa.int32()),  # 0: no answer
        ("seconds", pa.float64()),
        ("headers", pa.map_(pa.string(), pa.string())),
    ]
)


@dataclass(frozen=True, kw_only=True)
class FetchPart:
    """What a worker is told: uids with their URLs, the rules, and how.

    `evidence` is the artifact file for statuses, headers and times.
    """

    uids: Sequence[str]
    urls: Sequence[str]
    rules: Rules
    allow_private: bool
    threads: int
    evidence: str


def fetch(folder: Path, part: FetchPart, guard: Guard | None = None) -> Made:
    """Make a part: `outcomes.parquet`, `tars/...` and the evidence below `folder`.

    `guard` stands in for the part's own, which follows `allow_private`.
    """
    opener = Opener(
        guard=guard or partial(forbidden, allow_private=part.allow_private),
        max_bytes=part.rules.max_bytes,
        deadline=part.rules.deadline,
    )
    uid_of_url = dict(zip(part.urls, part.uids, strict=True))
    verdicts: dict[str, Verdict] = {}
    evidence: list[dict[str, Any]] = []
    with Pack(folder.with_name(folder.name + ".spool")) as pack:
        urls = list(part.urls)
        for round in range(part.rules.retries + 1):
            if round:
                time.sleep(PAUSE_SECONDS * 2 ** (round - 1))
            _download(
                urls, part.threads, opener, _Sink(pack, part.rules, uid_of_url, verdicts), folder.parent
            )
            evidence += [_row(uid_of_url[exchange.url], round, exchange) for exchange in opener.exchanges]
            opener.exchanges.clear()
            urls = [url for url in urls if verdicts[uid_of_url[url]].reason in RETRYABLE]
            if not urls:
                break
        made = close_part(folder, verdicts, pack, part.rules)
    (folder / part.evidence).parent.mkdir(parents=True, exist_ok=True)
    evidence.sort(key=lambda row: (row["uid"], row["round"]))
    pq.write_table(pa.Table.from_pylist(evidence, EXCHANGES), folder / part.evidence, compression="zstd")
    return made


def _row(uid: str, round: int, exchange: Exchange) -> dict[str, Any]:
    return {
        "uid": uid,
        "round": round,
        "final_url": exchange.final_url,
        "status": exchange.status,
        "seconds": exchange.seconds,
        "headers": list(exchange.headers.items()),
    }


class _Sink:
    """Stands where the downloader expects its sample writer: judges what comes, packs pictures."""

    def __init__(
        self, pack: Pack, rules: Rules, uid_of_url: Mapping[str, str], verdicts: dict[str, Verdict]
    ) -> None:
        self._pack = pack
        self._rules = rules
        self._uid_of_url = uid_of_url
        self._verdicts = verdicts
        self.failure: Exception | None = None

    def write(self, body: bytes | None, key: str, caption: None, meta: Mapping[str, Any]) -> None:
        """Called by one thread for each row; what it raised would be printed and forgotten, so it is kept."""
        try:
            uid = self._uid_of_url[meta["url"]]
            verdict = _failed(meta["error_message"]) if body is None else judge(body, self._rules)
            if body is not None and not verdict.reason:
                self._pack.add(uid, verdict.format, body)
            self._verdicts[uid] = verdict
        except Exception as error:  # noqa: BLE001 - raised again in `_download`
            self.failure = self.failure or error

    def holds(self, urls: Sequence[str]) -> bool:
        """Whether every row has its verdict."""
        return all(self._uid_of_url[url] in self._verdicts for url in urls)

    def close(self) -> None:
        """Nothing to close: the pack is written when all rounds are over."""


def _failed(message: str) -> Verdict:
    word, _, detail = message.partition(": ")
    try:
        return Verdict(Reason(word), detail)
    except ValueError:  # not from our opener: the downloader met something that has no word yet
        return Verdict(Reason.CONNECTION_FAILED, message)


def _download(urls: Sequence[str], threads: int, opener: Opener, sink: _Sink, scratch: Path) -> None:
    with TemporaryDirectory(dir=scratch) as name:
        shard = f"{name}/urls.arrow"
        table = pa.table({"url": pa.array(urls, pa.string())})
        with pa.OSFile(shard, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        downloader = _downloader()(
            sample_writer_class=lambda *_: sink,
            resizer=_as_it_came,
            thread_count=min(threads, len(urls)),
            save_caption=False,
            extract_exif=False,
            output_folder=name,
            column_list=["url"],
            timeout=opener.deadline,
            number_sample_per_shard=len(urls),
            oom_shard_count=5,
            compute_hash=None,
            verify_hash_type=None,
            encode_format="jpg",
            retries=0,
            user_agent_token=None,
            disallowed_header_directives=None,
        )
        with installed(opener):
            downloader.download_shard(
                (0, shard)
            )  # not `downloader(...)`, which prints and forgets exceptions
    if sink.failure is not None:
        raise sink.failure
    if not sink.holds(urls):
        raise RetryableError("the downloader lost rows; its output says why")


def _as_it_came(stream: io.BytesIO, boxes: None) -> tuple[bytes, None, None, None, None, None]:
    """What img2dataset's `Resizer` does with `disable_all_reencoding`."""
    return stream.read(), None, None, None, None, None


@cache
def _downloader() -> Any:
    """img2dataset's `Downloader` without what its package imports at its top.

    That is torch, OpenCV, pandas and albumentations, for the re-encoding and the reading that are not used
    here: 13 s and 400 MB for each worker, against 1.6 s (on two cores). So the package's own module stands
    aside meanwhile.
    """
    name = "img2dataset"
    if name not in sys.modules:
        spec = find_spec(name)
        assert spec is not None, f"{name} is not installed"
        package = ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations or ())
        sys.modules[name] = package
        try:
            return importlib.import_module(f"{name}.downloader").Downloader
        finally:
            for module in [module for module in sys.modules if module.split(".")[0] == name]:
                del sys.modules[module]
    return importlib.import_module(f"{name}.downloader").Downloader
