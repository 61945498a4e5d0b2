"""evaluate: what a model is worth, as figures, pictures and words."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdmodel.config.sampling import Sampling
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.config.evaluate import EvaluateConfig
from stages.evaluate.conditions import as_lists, own_conditions
from stages.evaluate.drawings import chosen_samples, draw_samples
from stages.evaluate.grid import draw_grid
from stages.evaluate.held_out import measured_split, notice
from stages.evaluate.image_features import distance
from stages.evaluate.image_models import recognition, reconstruction
from stages.evaluate.images import index_of, pictures_of
from stages.evaluate.label_probes import label_probes
from stages.evaluate.oracle import clean_pairs, prompted, unseen_captions, verdicts
from stages.evaluate.prompts import Prompt, prompts_of
from stages.evaluate.report import markdown
from stages.evaluate.retrieval import r_at_1
from stages.evaluate.samples import sample
from stages.evaluate.text_models import understanding
from stages.evaluate.unconditional import from_generator, from_prior
from stages.fingerprint import short_hash
from stages.kinds.evaluation import RECONSTRUCTED
from stages.output import Output, PartResult
from stages.pretrained.clip import OpenClip, clip_snapshot
from stages.pretrained.image_encoder import image_encoder_folder, image_encoder_input
from stages.pretrained.text import TABLE
from stages.stage import Request, Stats, StepSettings, stage

GROUP = 64
"""Pictures among which a caption's own one is looked for."""
_NOT_FIGURES = (
    *("model", "dataset", "background", "validation", "sampling", "oracle_prompts", "nearest", "notice"),
)

REMEDY = "The model draws what it read of them; train it with a larger train.text.length."
"""Of captions to sample that are cut."""


def _inputs(request: Request[EvaluateConfig]) -> list[Any]:
    config = request.config
    encoder = image_encoder_input(request.store, "evaluate.encoder", config.encoder)
    clip = clip_snapshot(config.clip, config.clip_pretrained)
    return [*request.read, clip, (encoder,) if encoder else ()]


@stage(version=4, kind="evaluation", step=StepSettings(inputs=_inputs, reference="evaluations"))
def evaluate(
    model: Artifact,
    dataset: Artifact,
    clip: Snapshot | None,
    encoders: tuple[Artifact, ...],
    config: EvaluateConfig,
    out: Output,
) -> Stats:
    """Measure a model on a dataset, its own or another.

    Args:
        model: of train.
        dataset: of shard; validation loss is taken on its validation split, captions from its test split.
            Where that is empty, the validation split stands in, else the train split, and the report says so.
        clip: `clip_snapshot(config.clip, config.clip_pretrained)`; None where the run has no CLIP, and then
            no similarity is reported.
        encoders: `image_encoder_input(store, "evaluate.encoder", config.encoder)`, in whose features samples
            are compared with pictures; empty where there is none.
        config: what to measure.
        out: gets `report.json`, `report.md`, `grid.png` and `nearest.png`.

    Returns:
        The funnel (every image to sample was sampled) and the report's main figures.

    Raises:
        ValueError: the oracle is unknown; no caption is there to sample; nothing is there to compare; an
            encoder is named and the model draws nothing, or columns of labels and it is no image encoder.
    """
    unseen = unseen_captions(config.oracle, config.oracle_samples, config.seed)
    settings = model.json("model/config.json") if "model/config.json" in model.files else None
    report: dict[str, Any] = {"model": model.digest, "dataset": dataset.digest}
    report["background"] = config.background  # what the pictures that it is measured on were laid over
    split = measured_split(dataset.table("index")["split"])
    given = False
    if "model/pretrain.json" in model.files:  # beside whatever layout a text encoder's folder has
        report["understanding"] = _understanding(model, dataset, split, config, out)
        rows = int(report["understanding"]["rows"])
    elif settings is None:  # an open_clip folder, which the contrastive objective writes
        report["retrieval"] = _retrieval(model, dataset, split, config, out)
        rows = int(report["retrieval"]["rows"])
    elif settings.get("_class_name") == "AutoencoderKL":
        _reconstruction(model, dataset, split, settings["sample_size"], encoders, config, out, report)
        rows = int(report["reconstruction"]["rows"])
    elif settings.get("kind") == "gan":
        given = True
        rows = from_generator(model, dataset, split, encoders, config, out, report)
    elif settings.get("kind") == "selfsupervised":
        report |= _image_encoder(model, dataset, split, settings["model"]["size"], config, out)
        rows = int(report["recognition"]["rows"])
    else:
        given = bool(config.captions or unseen)
        rows = _text_to_image(model, dataset, split, clip, encoders, unseen, config, out, report)
    if encoders and not {"sampling", "reconstruction", "frechet"} & set(report):
        raise ValueError(
            f"evaluate.encoder={config.encoder!r}: samples are compared with pictures by it, and "
            f"{model.short_name} draws none; leave it out"
        )
    if config.columns and "recognition" not in report:
        raise ValueError(
            f"evaluate.columns={list(config.columns)}: image encoders are measured by labels, and "
            f"{model.short_name} is none; leave it out"
        )
    if words := notice(split, given=given):
        out.warn(words)
        report["notice"] = words
    out.write("report.json").write_text(json.dumps(report, indent=1, sort_keys=True))
    out.write("report.md").write_text(markdown(report))
    return Stats(
        Funnel(rows, rows),
        {name: report[name] for name in report if name not in _NOT_FIGURES},
    )


def _text_to_image(
    model: Artifact,
    dataset: Artifact,
    split: str,
    clip: Snapshot | None,
    encoders: tuple[Artifact, ...],
    unseen: list[str],
    config: EvaluateConfig,
    out: Output,
    report: dict[str, Any],
) -> int:
    """Fill the report of a text-to-image model; return how many images were sampled."""
    folder = model.lay("model/", out.folder / "model")
    # First, since its name may be wrong.
    clip_model = OpenClip(config.clip, config.clip_pretrained, config.device) if clip is not None else None

    @cache
    def load() -> Any:
        from sdmodel.device import resolve_device
        from sdmodel.diffusion.generate import load as load_model

        return load_model(folder, resolve_device(config.device))

    # What it predicts: the loss on held-out pictures, with their own captions and with others'.
    report["validation"] = _validation(model, dataset, load, config, out)

    # What it draws: for captions of the test split, for new ones, for the oracle.
    index = dataset.table("index")
    settings = model.json("model/config.json")["model"]
    known = settings.get("conditions", ())
    prompts = prompts_of(index, config.captions, unseen, config.samples, config.seed, split, known)
    if not prompts:
        raise ValueError("evaluate.samples=0 and no captions are given; set one of them")
    prompts = prompted(prompts, config.oracle_prompts, config.seed)
    report["sampling"] = config.sampling.over(Sampling(**settings["sampling"])).described()
    images = sample(prompts, model.digest, load, config, out)
    if load.cache_info().currsize:  # else all was sampled before, and said
        from sdmodel.text.lengths import truncation_warnings

        for words in truncation_warnings(
            load().model.text.readers, [prompt.caption for prompt in prompts], REMEDY
        ):
            out.warn(words)
    groups = {
        group: [i for i, prompt in enumerate(prompts) if prompt.group == group]
        for group in ("test", "new", "oracle")
    }
    if groups["oracle"]:
        chosen = groups["oracle"]
        report["oracle"] = verdicts([prompts[i].caption for i in chosen], images[chosen])
        if config.oracle_prompts != "text":
            report["oracle_prompts"] = config.oracle_prompts
    for each in encoders:
        report["frechet"] = distance(each, images[groups["test"]], dataset, split, config.device, out)
    report["similarity"] = None
    if clip is not None and clip_model is not None and any(prompt.caption for prompt in prompts):
        similarity, pairs = _clip_figures(clip_model, prompts, images, config, out)
        report |= {"similarity": {**similarity, "clip": short_hash(clip.digest)}, **pairs}

    # What people look at.
    shown = chosen_samples(groups)
    report["nearest"] = draw_samples(images[shown], [prompts[i].caption for i in shown], dataset, out)
    return len(prompts)


def _validation(
    model: Artifact, dataset: Artifact, load: Any, config: EvaluateConfig, out: Output
) -> dict[str, Any] | None:
    """Denoising errors, see sdmodel; None where the validation split is too small to tell."""
    if (dataset.table("index")["split"] == "validation").sum() < 2:
        return None

    def make(folder: Path) -> PartResult:
        from sdmodel.data.pixels import to_float
        from sdmodel.diffusion.denoising_errors import denoising_errors

        rows = dataset.table("index").query("split == 'validation'")
        captioned = rows["captions"].map(len) > 0
        whole = captioned.sum() < 2
        images, captions = pictures_of(
            dataset, "validation", config.validation_rows, load().size, captions=not whole
        )
        known = model.json("model/config.json")["model"].get("conditions", ())
        measured = (rows if whole else rows.loc[captioned]).head(len(images))
        own = own_conditions(measured, known)
        out.progress(0, 1, f"validation loss of {len(images)} images")
        tensors = to_float(images).permute(0, 3, 1, 2).contiguous()  # (N, 3, S, S)
        errors = {
            "rows": len(images),
            **denoising_errors(load(), tensors, captions, config.seed, as_lists(own)),
        }
        (folder / "validation.json").write_text(json.dumps(errors, sort_keys=True))
        return PartResult()

    depends = {"rows": config.validation_rows, "seed": config.seed}
    return out.part("validation", [model.digest, dataset.digest], make, config=depends).json(
        "validation.json"
    )


def _clip_figures(
    clip_model: OpenClip,
    prompts: list[Prompt],
    images: NDArray[np.uint8],
    config: EvaluateConfig,
    out: Output,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Similarity of samples and captions; on the demo world also how good that CLIP is, on clean pairs."""
    out.progress(0, 1, "similarity of samples and captions")
    seen = clip_model.images(list(images), config.batch)
    texts = clip_model.texts([prompt.caption for prompt in prompts])
    own = (seen * texts).sum(axis=1)
    similarity = {
        "mean": round(float(own.mean()), 4),
        "shuffled": round(float((seen * np.roll(texts, 1, axis=0)).sum(axis=1).mean()), 4),
        "samples": len(prompts),
    }
    if not config.oracle:
        return similarity, {}
    pictures, captions = clean_pairs(8 * GROUP, config.seed, config.oracle)
    recall = r_at_1(clip_model.images(pictures, config.batch), clip_model.texts(captions), GROUP)
    return similarity, {"clip": {"r_at_1_of_64": round(recall, 4)}}


def _retrieval(
    model: Artifact, dataset: Artifact, split: str, config: EvaluateConfig, out: Output
) -> dict[str, Any]:
    """A contrastive model is measured by finding pictures by their captions."""
    folder = model.lay("model/", out.folder / "model")
    clip_model = OpenClip(f"local-dir:{folder}", device=config.device)
    size = int(model.json("model/open_clip_config.json")["model_cfg"]["vision_cfg"]["image_size"])
    images, captions = pictures_of(dataset, split, 0, size, captions=True)
    of = min(GROUP, len(images))
    out.progress(0, 1, f"retrieval among {len(images)} images")
    recall = r_at_1(clip_model.images(list(images), config.batch), clip_model.texts(captions), of)
    return {"r_at_1": round(recall, 4), "of": of, "rows": len(images) // of * of, "split": split}


def _reconstruction(
    model: Artifact,
    dataset: Artifact,
    split: str,
    size: int,
    encoders: tuple[Artifact, ...],
    config: EvaluateConfig,
    out: Output,
    report: dict[str, Any],
) -> None:
    """An autoencoder is measured by what it gives back, and for an oracle by pictures of latents that are
    drawn."""
    images, captions = pictures_of(dataset, split, 0, size)
    out.progress(0, 1, f"{len(images)} pictures there and back")
    folder = model.lay("model/", out.folder / "model")
    encoder = image_encoder_folder(next(iter(encoders), None), out.folder / "encoder")
    figures, reconstructed = reconstruction(folder, images, config.device, encoder)
    report["reconstruction"] = {**figures, "rows": len(images), "split": split}
    if config.oracle:
        report["oracle"] = from_prior(model, dataset, folder, config, out)
    shown = slice(0, RECONSTRUCTED)
    draw_grid(out.write("grid.png"), images[shown], captions[shown], beside=reconstructed[shown], columns=4)


def _image_encoder(
    model: Artifact, dataset: Artifact, split: str, size: int, config: EvaluateConfig, out: Output
) -> dict[str, Any]:
    """An image encoder is measured by knowing pictures again, and by what it knows of labels."""
    images, _ = pictures_of(dataset, split, 0, size)
    out.progress(0, 1, f"{len(images)} pictures, known again")
    folder = model.lay("model/", out.folder / "model")
    report: dict[str, Any] = {"recognition": {**recognition(folder, images, config.device), "split": split}}
    if config.columns:
        report["probes"] = label_probes(folder, dataset, split, config.columns, config.device, out)
    return report


def _understanding(
    model: Artifact, dataset: Artifact, split: str, config: EvaluateConfig, out: Output
) -> dict[str, Any]:
    """A pretrained text encoder is measured by what it retrieves, classifies and fills in."""
    from sdmodel.data.captioned import captioned

    size = int(model.json("model/pretrain.json")["size"])
    images, captions = pictures_of(dataset, split, 0, size, captions=True)
    out.progress(0, 1, f"{len(images)} pictures and captions")
    taught = model.input("labels") if model.manifest.inputs.get("labels") else None
    table = taught.path(TABLE) if taught else dataset.path("index.parquet")
    folder = model.lay("model/", out.folder / "model")
    uids = captioned(index_of(dataset, split)).uids
    figures = understanding(folder, table, uids, images, captions, config.device, config.seed, out.check)
    return {**figures, "split": split}
