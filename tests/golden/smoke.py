"""This makes the smoke preset's line on small sources, and every model that can be built, and describes them
as JSON: what a rearrangement of the code leaves as it is.

    .venv/bin/python -m tests.golden.smoke

The line runs on pictures of a folder, of a tar, of a Parquet file, and on URLs that are all refused before
anybody is asked. It runs in this process and in a folder of its own, in which every path is relative.
"""

import dataclasses
import hashlib
import json
import platform
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import chdir
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import TypeAdapter
from rich.console import Console
from safetensors import safe_open

from flows.config.presets import CLIP, smoke
from flows.run.local import result_of
from flows.run.terminal import Terminal
from flows.steps import STEPS
from sdmodel.autoencoder.model import build as build_autoencoder
from sdmodel.config.learning import DataConfig, EmaConfig, LoraConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.model import Network, UNetConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig, TextKind
from sdmodel.config.train import TrainConfig
from sdmodel.denoise.build import build_denoiser
from sdmodel.latents.space import PIXELS, Space
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.objectives import objective_of
from sdmodel.text import build as text
from sdmodel.train.ema import WeightAverages
from sdmodel.train.process import launch
from stages.artifacts.artifact import Artifact
from stages.average import AverageConfig, average
from stages.cluster import cluster
from stages.config.cluster import ClusterConfig
from stages.config.collect import FolderSource, ParquetSource, TarSource, UrlSource
from stages.config.encode import EncodeConfig
from stages.config.run import Run
from stages.demo.pairs import clean_folder
from stages.encode import encode
from stages.fingerprint import OUTSIDE_DIGEST, canonical_config, fingerprint_of
from stages.pretrained.files import autoencoder_input, text_input
from stages.store import Store, open_store
from tests import frozen
from tests.sdmodel.golden.test_curves import platform as processor
from tests.sdmodel.golden.tiny import CONFIG, CURVES, config_of, encoders
from tests.stages.test_average import in_this_process

STORE = "store"
ROWS = 60
"""The folder has so many pictures."""
URLS = (
    "http://127.0.0.1/a.png",
    "HTTP://127.0.0.1:80/./b/../a.png#again",
    "http://192.168.0.1/%7Ea.png?b=1",
    "https://somebody:secret@example.org/a.png",
    "ftp://example.org/a.png",
    "http://[bad/a.png",
    "",
)
"""These are addresses of private networks and what is no URL, so that none is requested."""
CAPTIONS = ["a red half on the left", "a green circle, top right", "two blue stars on white"]
CHECKPOINTS = (64, 128, 192, 256)
"""The training keeps checkpoints after so many images; the last is described."""
LATENTS = Space(5, 2, (0.0,) * 5, (1.0,) * 5)
LIBRARIES = (
    "numpy",
    "open-clip-torch",
    "pillow",
    "pyarrow",
    "matplotlib",
    "tokenizers",
    "transformers",
    "peft",
)


def recorded() -> dict[str, Any]:
    """This returns everything that is compared, and the platform that it was made on."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDFLOW_CACHE", str(Path(folder) / "cache"))
        patch.setattr(launch, "train", in_this_process)
        artifacts = line(open_store(STORE))
        return {
            "platform": environment(),
            "keys": flat(dataclasses.asdict(Run(name="defaults"))),
            "manifest": sorted(json.loads(manifest_of(artifacts["evaluate"]))),
            "parts": parts(open_store(STORE)),
            "artifacts": {name: described(artifact) for name, artifact in artifacts.items()},
            "models": models(Path("models")),
        }


def environment() -> dict[str, str]:
    """The processor, libraries and Python decide over bits."""
    libraries = {name: version(name) for name in LIBRARIES}
    return {**processor(), **libraries, "python": platform.python_version()}


def line(store: Store) -> dict[str, Artifact]:
    """This runs every stage in order, and returns their artifacts by name."""
    run = config()
    terminal = Terminal(Console(quiet=True))
    made = {name: result_of(STEPS, name, run, terminal) for name in STEPS if name != "encode"}
    frozen.autoencoder(Path("pipeline/vae"))
    frozen.text_encoder(Path("pipeline"))
    chosen = EncodeConfig(autoencoder="pipeline", text="pipeline", size=16, length=6, device="cpu")
    encoders = autoencoder_input(store, chosen.autoencoder), text_input(chosen.text)
    made["encode"] = encode(made["shard"], *encoders, (), chosen, store=store)
    made["average"] = average(made["train"], AverageConfig(length=0.2), store=store)
    clusters = ClusterConfig(clusters=3, seeds=2, device="cpu")
    made["cluster"] = cluster(made["shard"], made["train"], clusters, store=store)
    return made


def config() -> Run:
    """This is the smoke preset on small sources, with a small model."""
    preset = smoke("rows.csv", STORE)
    folder, tar, parquet, table = sources()
    return dataclasses.replace(
        preset,
        collect=dataclasses.replace(
            preset.collect,
            urls=(UrlSource(name="web", tables=(table,), caption_columns=("caption",)),),
            folders=(FolderSource(name="folder", folder=folder, licence="CC0"),),
            tars=(TarSource(name="tar", tars=(tar,)),),
            parquets=(ParquetSource(name="parquet", tables=(parquet,)),),
            part_rows=40,
            retries=0,
            workers=1,
        ),
        dedup=dataclasses.replace(preset.dedup, part_rows=40, workers=1),
        score=dataclasses.replace(preset.score, part_rows=40, device="cpu"),
        shard=dataclasses.replace(preset.shard, validation=0.15, test=0.15, shard_rows=25, workers=1),
        train=dataclasses.replace(
            preset.train,
            images=CHECKPOINTS[-1],
            batch=32,
            size=16,
            checkpoint_every=CHECKPOINTS[0],
            checkpoint_keep_every=1,
            checkpoint_keep_state=True,
            text=TextConfig(width=16, heads=2, queries=2, vocabulary=300),
            unet=UNetConfig(channels=(8, 16)),
            optimizer=OptimizerConfig(warmup=64),
            ema=EmaConfig(lengths=(0.05, 0.1)),
            validation=ValidationConfig(every=128, rows=8, prompts=preset.train.validation.prompts),
            processes=1,
            device="cpu",
        ),
        evaluate=dataclasses.replace(
            preset.evaluate,
            samples=4,
            oracle_samples=8,
            sampling=SamplingConfig(steps=2),
            part_rows=8,
            validation_rows=8,
            device="cpu",
        ),
    )


def sources() -> tuple[str, str, str, str]:
    """This writes a folder, a tar, a Parquet file and a table of URLs; the tar repeats pictures of the
    folder."""
    folder = clean_folder("pictures", ROWS, 5, sides=(32, 48))
    pictures = sorted(path for path in folder.iterdir() if path.suffix != ".csv")
    with tarfile.open("some.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in pictures[:3]:
            for name, data in ((path.name, path.read_bytes()), (f"{path.stem}.txt", b"a copy of a picture")):
                Path(name).write_bytes(data)
                member = tarfile.TarInfo(name)
                member.size = len(data)
                with Path(name).open("rb") as file:
                    tar.addfile(member, file)
    others = clean_folder("others", 4, 6, sides=(32, 48))
    rows = [
        {"image": {"bytes": path.read_bytes(), "path": path.name}, "caption": f"picture {path.stem}"}
        for path in sorted(others.iterdir())
        if path.suffix != ".csv"
    ]
    pq.write_table(pa.Table.from_pylist(rows), "some.parquet")
    table = {"url": list(URLS), "caption": [f"caption {row}" for row in range(len(URLS))]}
    pq.write_table(pa.table(table), "urls.parquet")
    return "pictures", "some.tar", "some.parquet", "urls.parquet"


def described(artifact: Artifact) -> dict[str, Any]:
    """This describes an artifact without its host, times, revision and library versions."""
    manifest = artifact.manifest
    names = [name for name in artifact.names() if not name.startswith(OUTSIDE_DIGEST)]
    outside = [name for name in artifact.names() if name.startswith(OUTSIDE_DIGEST[1:])]
    last = [name for name in outside if name.startswith(f"checkpoints/{CHECKPOINTS[-1]:09d}/")]
    every = [*names, *(last or outside)]
    return {
        "fingerprint": artifact.fingerprint,
        "digest": artifact.digest,
        "kind": artifact.kind,
        "stage": artifact.stage,
        "version": manifest.version,
        "config": manifest.config,
        "inputs": dict(manifest.inputs),
        "funnel": dataclasses.asdict(artifact.funnel),
        "statistics": sorted(artifact.statistics),
        "files": {name: artifact.entry(name).sha256 for name in names},
        "outside": outside,
        "columns": {name: columns(artifact.path(name)) for name in every if name.endswith(".parquet")},
        "keys": {
            name: sorted(value)
            for name in every
            if name.endswith(".json")
            and "tokenizer" not in name
            and isinstance(value := artifact.json(name), dict)
        },
        "tensors": {name: tensors(artifact.path(name)) for name in every if name.endswith(".safetensors")},
    }


def columns(path: Path) -> dict[str, str]:
    """This gives names and types of a table's columns, and the keys of its metadata."""
    schema = pq.read_schema(path)
    named = {field.name: str(field.type) for field in schema}
    return named | {f"metadata {key.decode()}": "" for key in sorted(schema.metadata or {})}


def tensors(path: Path) -> dict[str, str]:
    """This gives names and shapes of the tensors in a file."""
    with safe_open(path, "pt") as file:
        return {name: shape(file.get_tensor(name)) for name in sorted(file.keys())}


def parts(store: Store) -> dict[str, list[str]]:
    """This gives the keys of finished parts, which hold their fingerprints, by stage.

    Those of collect are counted: answers, with their times, are among what its parts are made of."""
    stages: dict[str, list[str]] = {}
    for entry in store.list("parts"):
        stages.setdefault(entry.key.split("/")[1], []).append(entry.key)
    stages["collect"] = [str(len(stages["collect"]))]
    return {stage: sorted(keys) for stage, keys in sorted(stages.items())}


def manifest_of(artifact: Artifact) -> bytes:
    """This reads a manifest as it lies in the store."""
    return artifact.store.read(f"manifests/{artifact.stage}/{artifact.fingerprint}.json")


def models(folder: Path) -> dict[str, Any]:
    """This gives tensors and first weights of all that can be built, and the folders that objectives save."""
    built = {f"objective {curve}": saved(config_of(curve), folder / curve) for curve in CURVES}
    for kind in get_args(TextKind):
        shapes = TextConfig(
            kind=kind, width=8, layers=2, heads=2, queries=2, length=12, vocabulary=320, buckets=50
        )
        torch.manual_seed(0)
        built[f"text {kind}"] = weights(text.learn(shapes, CAPTIONS).state_dict())
    texts = (TextConfig(kind="gru", width=8, length=12, vocabulary=300),)
    built["objective diffusion, two text encoders"] = saved(
        config_of("diffusion", texts=texts), folder / "texts"
    )
    for network in get_args(Network):
        for name, space in (("pixels", PIXELS), ("latents", LATENTS)):
            torch.manual_seed(0)
            data = DataConfig(augment=0.0 if network == "unet2d" else 0.2)
            shaped = dataclasses.replace(CONFIG, network=network, data=data)
            denoiser = build_denoiser(shaped, space, 12, 6, NoiseSchedule())
            built[f"network {network}, {name}"] = weights(denoiser.state_dict())
    torch.manual_seed(0)
    built["autoencoder"] = weights(build_autoencoder(CONFIG.autoencoder, CONFIG.size).state_dict())
    vit = dataclasses.replace(CONFIG.contrastive, tower="vit", image_width=16)
    built["objective contrastive, vit"] = saved(
        config_of("contrastive", contrastive=vit), folder / "contrastive-vit"
    )
    built["configs"] = {
        "canonical": fingerprint_of(canonical_config(CONFIG)),
        "lora": flat(dataclasses.asdict(LoraConfig())),
        "schema": sorted(TypeAdapter(TrainConfig).json_schema()["properties"]),
        "clip": {path.name: sha256(path) for path in files(Path(CLIP.removeprefix("local-dir:")))},
    }
    return built


def saved(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """This gives the first weights of an objective, and the files of the folder that it saves."""
    torch.manual_seed(config.seed)
    table = folder.with_suffix(".parquet")
    folder.mkdir(parents=True)
    labels = {"uid": [f"{row:032x}" for row in range(24)], "colour": ["red", "green", "blue", None] * 6}
    pq.write_table(pa.table(labels), table)
    encoder = folder.with_name("selfsupervised")  # saved before those that ask it
    objective = objective_of(config, CAPTIONS, labels=table, **encoders(encoder, config))
    described = weights(objective.modules.state_dict())
    objective.save(folder, WeightAverages(objective.modules, EmaConfig(), 1).weights())
    saves = {path.relative_to(folder).as_posix(): path for path in files(folder)}
    return {
        **described,
        "files": {name: sha256(path) for name, path in saves.items()},
        "saved": {name: tensors(path) for name, path in saves.items() if path.suffix == ".safetensors"},
    }


def weights(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """This gives names and shapes, sorted, and a hash over names and values."""
    hashes = hashlib.sha256()
    for name, value in sorted(state.items()):
        hashes.update(name.encode() + value.detach().contiguous().cpu().numpy().tobytes())
    return {"tensors": {name: shape(state[name]) for name in sorted(state)}, "weights": hashes.hexdigest()}


def shape(tensor: torch.Tensor) -> str:
    """This spells a tensor's type and shape, as "float32 8x3x3x3"."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {'x'.join(map(str, tensor.shape))}".rstrip()


def files(folder: Path) -> Iterable[Path]:
    """This gives every file below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sha256(path: Path) -> str:
    """This hashes a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """This makes nested mappings a flat one, with keys like "train.text.width"."""
    if not isinstance(value, dict) or not value:
        return {key: value}
    return {
        name: each
        for inner, below in value.items()
        for name, each in flat(below, f"{key}.{inner}" if key else inner).items()
    }


if __name__ == "__main__":
    print(json.dumps(recorded(), indent=1, sort_keys=True))  # noqa: T201 - for whoever compares two of them
