"""score: how well captions fit their picture, by CLIP, and an embedding of each picture."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sdmodel.text.lengths import Truncation
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.collected import read_collected
from stages.config.run import ScoreConfig
from stages.fingerprint import fingerprint_of
from stages.image import decode_image
from stages.output import Output, PartResult, PartSpec
from stages.pretrained.clip import OpenClip, clip_snapshot
from stages.record import SCORES
from stages.stage import Request, Stats, StepSettings, stage

REMEDY = (
    "What is cut away is not judged: shorten the captions (filter.max_words), or take a CLIP that reads more."
)
"""Of captions that are cut."""


def _inputs(request: Request[ScoreConfig]) -> list[Artifact | Snapshot | None]:
    return [*request.read, clip_snapshot(request.config.model, request.config.pretrained)]


@stage(version=2, kind="scores", step=StepSettings(inputs=_inputs))
def score(images: Artifact, clip: Snapshot | None, config: ScoreConfig, out: Output) -> Stats:
    """Embed every picture and its captions, once; thresholds are filter's business.

    A row's similarity is the best cosine over its captions, null where it has none. Pictures are
    seen on the run's background, as the dataset has them.

    Args:
        images: of collect.
        clip: `clip_snapshot(config.model, config.pretrained)`: which weights the model's name means, so that
            changed weights are another request; None where the run has no CLIP. Then the table is empty and
            the statistic `clip` is false.
        config: the model, and how much at once.
        out: gets `scores.parquet` (record.SCORES) and `embeddings/NAME.npy`, (N, D) float16 of length 1.

    Returns:
        The funnel (every row is scored) and the model's name, dimension and mean similarity.

    Raises:
        ValueError: open_clip knows no such model or weights; the message names near ones.
    """
    rows = images.funnel.rows_out
    if clip is None:
        pq.write_table(SCORES.empty_table(), out.write("scores.parquet"), compression="zstd")
        return Stats(Funnel(rows, rows), {"clip": False})

    @cache
    def model() -> OpenClip:  # loaded when the first unfinished part needs it
        return OpenClip(config.model, config.pretrained, config.device)

    def make(folder: Path, payload: dict[str, Any]) -> PartResult:
        return _score_part(folder, payload, model(), config.batch)

    keep = {"background": config.background}
    # What the model is, is the snapshot's to say: its digest is among the inputs of every part.
    parts = out.parts(_specs(images, clip, config, keep, out), make, config=keep, note="scoring")
    tables: list[pa.Table] = [part.arrow_table(f"scores/{part.key}") for part in parts]
    table = pa.concat_tables(tables or [SCORES.empty_table()]).sort_by("uid")
    pq.write_table(table, out.write("scores.parquet"), compression="zstd")
    for part in parts:
        out.add({name: part.entry(name) for name in part.names("embeddings/")})
    similarity = table.column("similarity").drop_null().to_numpy()
    facts = {"clip": True, "model": config.model, "pretrained": config.pretrained, "scored": len(similarity)}
    mean = round(float(similarity.mean(dtype=np.float64)), 4) if len(similarity) else None
    cut = Truncation.total(part.statistics for part in parts)
    if cut.cut and (words := cut.message(model().length, REMEDY)):
        out.warn(words)
    return Stats(Funnel(rows, rows), {**facts, "weights": clip.digest, "mean_similarity": mean})


def _specs(
    images: Artifact, clip: Snapshot, config: ScoreConfig, keep: Mapping[str, str], out: Output
) -> list[PartSpec]:
    """A part for every `part_rows` rows of each tar: it reads one tar, and depends on nothing else."""
    columns = ["uid", "file", "offset", "length", "sha256", "captions"]
    table = images.table("images", columns)
    table = table.sort_values(["file", "offset"], kind="stable")
    specs: list[PartSpec] = []
    for file, members in table.groupby("file", sort=True):
        for number, start in enumerate(range(0, len(members), config.part_rows)):
            chosen = members.iloc[start : start + config.part_rows]
            rows = [
                (uid, int(offset), int(length), sha256, [caption["text"] or "" for caption in captions])
                for uid, offset, length, sha256, captions in zip(
                    *(chosen[name] for name in ("uid", "offset", "length", "sha256", "captions")), strict=True
                )
            ]
            name = f"{Path(str(file)).stem}-{number:03d}"
            inputs = [clip.digest, images.entry(str(file)).sha256, name, fingerprint_of(rows)]
            # A tar of a remote store is fetched only if it must be read.
            known = out.find(name, inputs, config=keep) is not None
            tar = "" if known else str(images.path(str(file)))
            specs.append(PartSpec(name, inputs, {"name": name, "tar": tar, "rows": rows, **keep}))
    return specs


def _score_part(folder: Path, payload: dict[str, Any], clip: OpenClip, batch: int) -> PartResult:
    """Embed the pictures and captions of a part and compare them."""
    import torch

    name, rows = payload["name"], payload["rows"]
    distinct = sorted({text for *_, captions in rows for text in captions if text.strip()})
    # A batch to each core, read, decoded and embedded there. torch's own threads would wait for each other
    # after every layer (2.5 times the CPU time, measured on a shared machine), and the model for the decoder.
    threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            # One task: tokenizers are not for several threads.
            later = pool.submit(lambda: (clip.texts(distinct), clip.cut(distinct)))
            batches = [rows[start : start + batch] for start in range(0, len(rows), batch)]
            tar, background = payload["tar"], payload["background"]
            embedded = pool.map(lambda some: clip.images(_pictures(tar, some, background), batch), batches)
            embeddings, (texts, cut) = np.concatenate(list(embedded)), later.result()
    finally:
        torch.set_num_threads(threads)
    place = {text: number for number, text in enumerate(distinct)}
    records: list[dict[str, Any]] = []
    for number, (uid, *_, captions) in enumerate(rows):
        judged = [n for n, text in enumerate(captions) if text.strip()]
        cosines = texts[[place[captions[n]] for n in judged]] @ embeddings[number] if judged else np.zeros(0)
        best = int(cosines.argmax()) if judged else None
        records.append(
            {
                "uid": uid,
                "similarity": None if best is None else float(np.clip(cosines[best], -1, 1)),
                "caption": None if best is None else judged[best],
                "file": f"embeddings/{name}.npy",
                "index": number,
            }
        )
    for below in ("embeddings", "scores"):
        (folder / below).mkdir()
    np.save(folder / f"embeddings/{name}.npy", embeddings.astype(np.float16))
    table = pa.Table.from_pylist(records, SCORES)
    pq.write_table(table, folder / f"scores/{name}.parquet", compression="zstd")
    truncated = [cut[place[text]] for *_, captions in rows for text in captions if text.strip()]
    return PartResult(Funnel(len(rows), len(rows)), asdict(Truncation(len(truncated), sum(truncated))))


def _pictures(tar: str, rows: Sequence[Sequence[Any]], background: str) -> list[NDArray[np.uint8]]:
    """The pictures of some rows of a tar, on a background."""
    pictures: list[NDArray[np.uint8]] = []
    with Path(tar).open("rb") as file:
        for uid, offset, length, sha256, _ in rows:
            pictures.append(decode_image(read_collected(file, uid, offset, length, sha256), background))
    return pictures
