import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.contrastive.objective import ContrastiveObjective
from sdmodel.text.tokenizer import Tokenizer
from stages.config.run import ScoreConfig
from stages.demo.captions import caption
from stages.demo.world import render, scene
from stages.errors import DamagedError
from stages.image import decode_image
from stages.pretrained.clip import OpenClip, clip_snapshot
from stages.record import SCORES
from stages.score import score
from stages.store import Store, open_store
from tests.stages.handmade import Picture, collection, save

CAPTIONS = [caption(scene(0, index).attributes, index % 3) for index in range(20)]


def folder_of_clip(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    config = TrainConfig(objective="contrastive", text=TextConfig(width=32, layers=1, heads=2, length=16))
    objective = ContrastiveObjective(config, CAPTIONS)
    folder.mkdir(parents=True)
    objective.save(folder, objective.modules.state_dict())
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return folder_of_clip(tmp_path_factory.mktemp("clip") / "clip", 0)


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    rows = [
        Picture(
            f"{n}",
            save(render(scene(0, n), 40 + n), ("png", "jpeg")[n % 2]),
            (CAPTIONS[n], CAPTIONS[(n + 1) % 20]),
        )
        for n in range(18)
    ]
    rows.append(Picture("silent", rows[0].data, ("", "  ")))
    rows.append(Picture("late", rows[1].data, ("", CAPTIONS[1])))
    return rows


def run(store, pictures, config, tars=2):
    images = collection(store, [pictures[n::tars] for n in range(tars)])
    return score(images, clip_snapshot(config.model, config.pretrained), config, store=store)


def test_similarity_is_the_best_cosine_over_the_captions(store, clip, pictures):
    config = ScoreConfig(model=f"local-dir:{clip}", device="cpu", batch=4)
    result = run(store, pictures, config)
    table = result.table("scores").set_index("uid")
    assert len(table) == len(pictures)
    stock = OpenClip(f"local-dir:{clip}", device="cpu")
    for picture in pictures:
        row = table.loc[picture.uid]
        image = stock.images([decode_image(picture.data)])[0]
        stored = np.load(result.path(row.file))[int(row["index"])]
        assert stored.dtype == np.float16
        assert np.abs(stored - image).max() < 2e-3
        if picture.name == "silent":
            assert np.isnan(row.similarity)
            assert np.isnan(row.caption)
            continue
        judged = [n for n, text in enumerate(picture.captions) if text.strip()]
        cosines = stock.texts([picture.captions[n] for n in judged]) @ image
        assert row.similarity == pytest.approx(cosines.max(), abs=1e-5)
        assert row.caption == judged[int(cosines.argmax())]
    assert result.statistics["clip"] is True
    assert result.statistics["scored"] == len(pictures) - 1
    assert result.funnel.rows_in == result.funnel.rows_out == len(pictures)


def test_the_cut_into_parts_changes_no_score_and_a_new_tar_alone_is_scored(tmp_path, store, clip, pictures):
    config = ScoreConfig(model=f"local-dir:{clip}", device="cpu")
    first = run(store, pictures[:16], config)
    assert first.statistics["parts"] == {"made": 2, "found": 0}
    images = collection(store, [pictures[:16][0::2], pictures[:16][1::2], pictures[16:]])
    grown = score(images, clip_snapshot(config.model), config, store=store)
    assert grown.statistics["parts"] == {"made": 1, "found": 2}

    other = open_store(str(tmp_path / "other"))
    cut = run(other, pictures, ScoreConfig(model=f"local-dir:{clip}", device="cpu", part_rows=3, batch=2), 1)
    one, two = (result.table("scores").set_index("uid") for result in (grown, cut))
    assert np.allclose(one["similarity"], two["similarity"], atol=1e-5, equal_nan=True)


def test_changed_weights_are_another_request_and_another_folder_is_not(tmp_path, store, clip, pictures):
    first = run(store, pictures, ScoreConfig(model=f"local-dir:{clip}", device="cpu"))
    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    for file in clip.iterdir():
        (elsewhere / file.name).write_bytes(file.read_bytes())
    again = run(store, pictures, ScoreConfig(model=f"local-dir:{elsewhere}", device="cpu", batch=3))
    assert again.cached
    assert again.fingerprint == first.fingerprint
    changed = folder_of_clip(tmp_path / "changed", 1)
    other = run(store, pictures, ScoreConfig(model=f"local-dir:{changed}", device="cpu"))
    assert other.fingerprint != first.fingerprint
    assert other.statistics["weights"] != first.statistics["weights"]


def test_without_a_clip_the_table_is_empty_and_says_so(store, pictures):
    result = run(store, pictures, ScoreConfig())
    assert len(result.table("scores")) == 0
    assert list(result.table("scores").columns) == SCORES.names
    assert result.statistics["clip"] is False
    assert result.names("embeddings/") == []
    assert result.funnel.rows_out == len(pictures)


def test_unknown_models_are_named_with_near_ones(store, pictures):
    with pytest.raises(ValueError, match=r"ViT-B-23.*near:.*ViT-B-32"):
        run(store, pictures, ScoreConfig(model="ViT-B-23", pretrained="openai", device="cpu"))
    with pytest.raises(ValueError, match=r"no weights 'nowhere'.*laion2b"):
        run(store, pictures, ScoreConfig(model="ViT-B-32", pretrained="nowhere", device="cpu"))
    with pytest.raises(ValueError, match=r"open_clip_config\.json is missing"):
        run(store, pictures, ScoreConfig(model="local-dir:/nowhere"))


def test_the_statistics_tell_the_mean_similarity(store, clip, pictures):
    result = run(store, pictures, ScoreConfig(model=f"local-dir:{clip}", device="cpu"))
    assert json.loads(json.dumps(dict(result.statistics)))["mean_similarity"] == pytest.approx(
        float(result.table("scores")["similarity"].mean()), abs=1e-3
    )


def test_a_flipped_bit_of_a_picture_is_an_error(store, clip, pictures):
    images = collection(store, [pictures])
    row = images.table("images").iloc[3]
    path = images.path(row["file"])
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(row["offset"] + row["length"] // 2)
        (byte,) = file.read(1)
        file.seek(row["offset"] + row["length"] // 2)
        file.write(bytes([byte ^ 4]))
    config = ScoreConfig(model=f"local-dir:{clip}", device="cpu")
    with pytest.raises(DamagedError, match=rf"picture {row['uid']} at offset .* should hash to"):
        score(images, clip_snapshot(config.model), config, store=store)


def test_captions_that_a_clip_cannot_read_whole_are_said(store, clip, pictures):
    stock = OpenClip(f"local-dir:{clip}", device="cpu")
    assert stock.length == 16
    texts = [" ".join(["red"] * count) for count in range(40)]
    counts = Tokenizer.load(clip).count(texts)
    assert stock.cut(texts) == [count > 16 for count in counts]
    assert {16, 17} < set(counts)
    config = ScoreConfig(model=f"local-dir:{clip}", device="cpu")
    short = Picture("short", pictures[0].data, (texts[1],))
    assert "warnings" not in run(store, [short], config, 1).statistics
    long = Picture("long", pictures[0].data, (texts[39], texts[2], "", texts[1]))
    (words,) = run(store, [short, long], config, 1).statistics["warnings"]
    assert words.startswith(
        "25.0% of 4 captions have more than the 16 tokens that are read of one, and are cut. "
    )


def test_pictures_are_seen_on_the_runs_background(store, clip):
    """White art on nothing is told from other white art on black, and is nothing on white."""
    y, x = np.mgrid[:40, :40] - 19.5
    art = []
    for name, inside in (("disc", np.hypot(x, y) < 15), ("bar", abs(x) < 4)):
        pixels = np.full((40, 40, 4), 255, np.uint8)
        pixels[..., 3] = np.where(inside, 255, 0)
        art.append(Picture(name, save(pixels), (CAPTIONS[0],)))

    def embeddings(background: str) -> np.ndarray:
        config = ScoreConfig(model=f"local-dir:{clip}", background=background)
        scores = run(store, art, config, tars=1)
        return np.load(scores.path(scores.names("embeddings/")[0]))

    white, black = embeddings("#ffffff"), embeddings("#000000")
    assert np.array_equal(white[0], white[1])
    assert not np.allclose(black[0], black[1], atol=1e-3)
    seen = OpenClip(f"local-dir:{clip}").images([decode_image(picture.data, "#000000") for picture in art], 2)
    expected = {picture.uid: seen[n] for n, picture in enumerate(art)}
    assert np.allclose(black, [expected[uid] for uid in sorted(expected)], atol=1e-3)
