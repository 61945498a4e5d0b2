import json
from pathlib import Path

import pytest

from sdmodel.config.representation import AlignmentConfig
from stages.pretrained.image_encoder import image_encoder_folder, image_encoder_input
from stages.store import Store
from stages.train.train import train
from tests.stages import worlds
from tests.stages.pretrained.filed import filed

ENCODER = {"model/config.json": json.dumps({"kind": "selfsupervised"}).encode(), "model/w.safetensors": b"w"}


def test_an_image_encoder_is_one_of_ours_by_reference(store: Store, tmp_path: Path):
    model = filed(store, "models/encoder", ENCODER, "train")
    named = image_encoder_input(store, "train.encoder", "models/encoder@latest")
    assert named is not None
    assert named.digest == model.digest
    folder = image_encoder_folder(named, tmp_path / "laid")
    assert folder is not None
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "w.safetensors"]
    assert image_encoder_input(store, "train.encoder", "") is None
    assert image_encoder_folder(None, tmp_path) is None


def test_another_model_is_refused_by_key_and_name(store: Store):
    filed(store, "models/other", {"model/config.json": b'{"kind": "diffusion"}'}, "train")
    with pytest.raises(ValueError, match=r"train\.encoder='models/other' is no image encoder"):
        image_encoder_input(store, "train.encoder", "models/other")
    with pytest.raises(ValueError, match=r"train\.encoder='models/none'"):
        image_encoder_input(store, "train.encoder", "models/none")


def test_the_encoder_is_part_of_what_is_asked_and_its_name_is_not(store: Store):
    dataset = filed(store, "datasets/d", {"index.parquet": b""}, "shard")
    encoder = filed(store, "models/encoder", ENCODER, "train")
    repa = AlignmentConfig(kind="repa")
    config = worlds.changed(encoder="models/encoder@1", alignment=repa)
    names = [train.fingerprint(dataset, None, None, (), None, own, config=config) for own in ((), (encoder,))]
    assert names[0] != names[1]
    assert names[0] == train.fingerprint(
        dataset, None, None, (), None, (), config=worlds.changed(alignment=repa)
    )
