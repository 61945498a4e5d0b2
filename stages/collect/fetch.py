"""A part of URLs: fetched in threads by img2dataset's downloader, judged as they arrive, packed.

A request is made once: what failed and may pass is requested again in a later round, see `rounds`.
"""

from collections.abc import Sequence
from pathlib import Path

from stages.collect.body_pipeline import BodyPipeline
from stages.collect.context import FetchContext
from stages.collect.img2dataset.downloader import download_all
from stages.collect.outcomes import close_part
from stages.collect.pack import Pack
from stages.collect.web.records import FetchRecord, FetchRequest
from stages.collect.web.url import host_of
from stages.errors import RetryableError
from stages.image.verdict import Verdict
from stages.output import PartResult


def fetch(folder: Path, requests: Sequence[FetchRequest], context: FetchContext) -> PartResult:
    """Make a part: `outcomes.parquet`, `fetches.parquet` and `tars/...` below `folder`."""
    fetcher = context.fetcher
    assert fetcher is not None
    by_key = {request.key: request for request in requests}
    records: dict[str, FetchRecord] = {}

    def download(key: str) -> bytes | None:
        records[key], body = fetcher.fetch(by_key[key])
        return None if records[key].reason or records[key].not_modified else body

    def count(key: str, verdict: Verdict, size: int) -> None:
        context.progress.count(host_of(by_key[key].url), verdict.reason, size)

    with Pack(folder.with_name(folder.name + ".spool")) as pack:
        pipeline = BodyPipeline(pack, context.sandbox, context.taken_down, count)

        def receive(key: str, body: bytes | None) -> None:
            if body is None:
                pipeline.refuse(key, Verdict(records[key].reason or "", records[key].detail))
            else:
                pipeline.take(key, body)

        try:
            download_all(list(by_key), download, receive, threads=context.threads, scratch=folder.parent)
        finally:
            verdicts = pipeline.finish()
        if context.cancelled.is_set():
            raise RetryableError("the collection ended before this part did")
        return close_part(folder, verdicts, pack, context.rules, records)
