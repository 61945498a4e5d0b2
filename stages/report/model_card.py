"""A model card (Mitchell et al. 2018, arXiv:1810.03993): what a model learned from, how, and how well, as the
store knows it; for a README.md beside an exported model.

What is not recorded is called so. A licence is one that a source stated of its pictures; the model itself
has none here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal, cast

from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.reference import references_by_artifact
from stages.fingerprint import short_hash
from stages.foreign_text import escape, escape_markdown
from stages.redaction import redact
from stages.report.pictures import Markdown, code, markdown_table
from stages.takedown.holders import Holder, holders
from stages.takedown.records import Takedown, records

Layout = Literal["ours", "diffusers", "lora"]
"""Of the folder: a model folder as train wrote it, a pipeline for diffusers, or a LoRA for one."""
UNKNOWN = "not recorded"
ABOUT = "model/config.json"
SOURCES = 20
"""Sources and licences that are listed, those of most pictures first."""
LINE = ("collect", "dedup", "score", "filter", "shard", "train")
"""Stages whose funnels are shown, in their order."""
TRAINING = (
    *("objective", "network", "images", "batch", "size", "sizes", "seed", "caption_dropout", "start"),
    *("noise", "optimizer", "lora", "ema", "precision"),
)
"""Keys of a training's config that are shown."""
UNTOLD = ("warnings", "objective", "start", "parts", "resumed_at")
"""Statistics that are shown elsewhere, or are of a run and not of its result."""
LOADING = {
    "ours": 'import sdmodel\n\nmodel = sdmodel.load("FOLDER")',
    "diffusers": (
        'from diffusers import DiffusionPipeline\n\npipe = DiffusionPipeline.from_pretrained("FOLDER")'
    ),
    "lora": 'pipe.load_lora_weights("FOLDER")  # pipe: of the pipeline that the training started from',
    "contrastive": (
        'import open_clip\n\nmodel, _, preprocess = open_clip.create_model_and_transforms("local-dir:FOLDER")'
    ),
    "autoencoder": 'from diffusers import AutoencoderKL\n\nvae = AutoencoderKL.from_pretrained("FOLDER")',
}
"""Programs, by layout, or by objective where the layout is ours."""
LIBRARIES = {
    "diffusers": "diffusers",
    "lora": "diffusers",
    "autoencoder": "diffusers",
    "contrastive": "open_clip",
}


def model_card(model: Artifact, *, layout: Layout = "ours") -> str:
    """Markdown with YAML front matter; a few dozen KB at most.

    Args:
        model: of train, or of average; its store is asked what it was made from, what evaluated it, and which
            pictures were taken down.
        layout: of the folder that the card lies in.
    """
    training = _training(model)
    objective = str(training.statistics.get("objective", UNKNOWN))
    licences = _licences(model)
    kind = objective if layout == "ours" and objective in LIBRARIES else layout
    lines = [
        *_front_matter(objective, kind, licences),
        f"# {escape_markdown(_title(model))}",
        "",
        *_loading(kind),
        *_data(licences),
        *_funnels(model),
        *_takedowns(model),
        *_how_trained(training),
        *_evaluations(model),
        *_lineage(model),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _title(model: Artifact) -> str:
    """What people call the model now, with its number; else stage and fingerprint."""
    called = references_by_artifact(model.store).get(model.fingerprint)
    return called[-1] if called else model.short_name


def _training(model: Artifact) -> Artifact:
    """What trained the weights: the model itself, or the one that it is an average of."""
    everything = [model, *model.ancestors()]
    return next((artifact for artifact in everything if artifact.stage == "train"), model)


def _choices(training: Artifact) -> Mapping[str, Any]:
    """The training's config: whole, where the model's folder has it; else what was not left at defaults,
    which may have been others then."""
    if training.dropped is None and ABOUT in training.files:
        return training.json(ABOUT).get("training") or training.config
    return training.config


def _front_matter(objective: str, kind: str, licences: Mapping[tuple[str, str], int]) -> list[str]:
    """JSON values, which YAML reads; data_licences has what sources stated."""
    about: dict[str, Any] = {"library_name": LIBRARIES.get(kind, "sdmodel")}
    if objective == "diffusion":
        about["pipeline_tag"] = "text-to-image"
    about["tags"] = [objective, *(["lora"] if kind == "lora" else [])]
    if stated := sorted({escape(licence) for _, licence in licences if licence}):
        about["data_licences"] = stated[:SOURCES]
    return ["---", *(f"{key}: {json.dumps(value)}" for key, value in about.items()), "---", ""]


def _loading(kind: str) -> list[str]:
    return ["## Loading", "", "```python", LOADING.get(kind, LOADING["ours"]), "```", ""]


def _licences(model: Artifact) -> dict[tuple[str, str], int]:
    """(source, licence) -> pictures of the train splits that it learned from, most first; nothing where the
    tables are gone. "" is a licence that nobody stated."""
    counts: dict[tuple[str, str], int] = {}
    for dataset in (artifact for artifact in model.ancestors() if artifact.kind == "dataset"):
        collections = [artifact for artifact in dataset.ancestors() if artifact.kind == "images"]
        if dataset.dropped is not None or any(images.dropped is not None for images in collections):
            continue
        index = dataset.table("index", ["uid", "split"])
        train = index.loc[index["split"] == "train", ["uid"]]
        for images in collections[:1]:
            rows = images.table("images", ["uid", "source", "licence"]).merge(train, on="uid")
            named = rows.fillna("").groupby(["source", "licence"]).size()
            for pair, count in cast("dict[tuple[str, str], int]", named.to_dict()).items():
                counts[pair] = counts.get(pair, 0) + int(count)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _data(licences: Mapping[tuple[str, str], int]) -> list[str]:
    lines = ["## Data", ""]
    if not licences:
        return [*lines, f"Sources and licences: {UNKNOWN}.", ""]
    shown = list(licences.items())[:SOURCES]
    rows = [[source, licence or UNKNOWN, count] for (source, licence), count in shown]
    if rest := list(licences.values())[SOURCES:]:
        rows.append([f"{len(rest):,} more", "", sum(rest)])
    text = "Pictures of the train split by source, and the licence that the source states of them."
    return [*lines, text, "", *markdown_table(["source", "licence", "pictures"], rows), ""]


def _funnels(model: Artifact) -> list[str]:
    """What became of the rows, from collect down to the model."""
    everything = [artifact for artifact in (model, *model.ancestors()) if artifact.stage in LINE]
    everything.sort(key=lambda artifact: LINE.index(artifact.stage))
    rows = [
        [
            artifact.short_name,
            artifact.funnel.rows_in,
            ", ".join(f"{rows:,} {reason}" for reason, rows in artifact.funnel.ranked_reasons()),
            artifact.funnel.rows_out,
        ]
        for artifact in everything
    ]
    return ["## Funnel", "", *markdown_table(["stage", "rows in", "dropped", "rows out"], rows), ""]


def _takedowns(model: Artifact) -> list[str]:
    """What the store knows of take-downs, and of pictures among them that the model has learned from."""
    known: list[Takedown] = records(model.store)
    lines = ["## Take-downs", ""]
    if not known:
        return [*lines, "The store records none.", ""]
    sha256s = frozenset(sha256 for record in known for sha256 in record.sha256s)
    mine: list[Holder] = [
        holder for holder in holders(model.store, sha256s) if holder.artifact.fingerprint == model.fingerprint
    ]
    learned = sum(holder.rows for holder in mine)
    text = f"The store records {len(known):,}. "
    if learned:
        text += (
            f"**This model learned from {learned:,} of these pictures**: weights cannot forget; train again."
        )
    elif any(holder.unasked for holder in mine):
        text += "A dataset in its lineage was dropped: whether it had one of the pictures nobody can tell."
    else:
        text += "This model learned from none of these pictures."
    return [*lines, text, ""]


def _how_trained(training: Artifact) -> list[str]:
    config, statistics = _choices(training), training.statistics
    rows: list[Sequence[object]] = [
        *([name, _plain(config[name])] for name in TRAINING if _chosen(config, name)),
        *([f"result: {name}", _plain(value)] for name, value in statistics.items() if name not in UNTOLD),
    ]
    start = training.manifest.inputs.get("start")
    rows.append(["started from", _origin(start) if start else "random weights"])
    rows.append(["hardware", UNKNOWN])
    libraries = ", ".join(f"{name} {version}" for name, version in training.manifest.libraries.items())
    rows.append(["libraries", libraries or UNKNOWN])
    rows.append(["started, ended", f"{training.manifest.started}, {training.manifest.ended}"])
    return ["## Training", "", *markdown_table(["key", "value"], rows), ""]


def _chosen(config: Mapping[str, Any], name: str) -> bool:
    """Whether a key says something: low-rank changes of rank 0 are none."""
    value = config.get(name)
    return value["rank"] > 0 if name == "lora" and value else value not in (None, "", [])


def _evaluations(model: Artifact) -> list[str]:
    """The newest report about this model that the store has."""
    reports = [
        artifact
        for artifact in artifacts(model.store, "evaluate")
        if (artifact.manifest.inputs.get("model") or {}).get("digest") == model.digest
    ]
    lines = ["## Evaluation", ""]
    if not reports:
        return [*lines, "None is in the store.", ""]
    newest = max(reports, key=lambda artifact: artifact.manifest.ended)
    report = newest.read("report.md").decode()  # its foreign text is escaped already
    return [*lines, f"By {escape_markdown(newest.short_name)}.", "", *_deeper(report), ""]


def _deeper(report: str) -> Iterator[str]:
    """A report's lines, its headings two levels down."""
    for line in report.rstrip().splitlines():
        yield f"##{line}" if line.startswith("#") else line


def _lineage(model: Artifact) -> list[str]:
    rows: list[Sequence[object]] = [
        ["fingerprint (what was asked)", code(model.fingerprint)],
        ["digest (what came)", code(model.digest)],
        *([f"input {name}", _origin(entry)] for name, entry in model.manifest.inputs.items() if entry),
        ["code", model.manifest.code],
    ]
    return ["## Lineage", "", *markdown_table(["record", "value"], rows)]


def _origin(entry: Mapping[str, str]) -> Markdown:
    if not entry.get("stage"):
        return Markdown(f"outside the store, digest {code(entry['digest'])}")
    stage, fingerprint = escape_markdown(entry["stage"]), short_hash(entry["fingerprint"])
    return Markdown(f"{stage}/{code(fingerprint)}, digest {code(entry['digest'])}")


def _plain(value: object) -> str:
    """A value of a config or a statistic, without secrets of URLs and folders of the machine."""
    if isinstance(value, str) and value.startswith(("/", "~", ".")):
        value = PurePath(value).name
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return redact(f"{value:.4g}" if isinstance(value, float) else text)
