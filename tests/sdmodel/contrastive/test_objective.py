import json
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image
from torch import Tensor

from sdmodel.config.model import ContrastiveConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.contrastive.objective import ContrastiveObjective
from sdmodel.data.batch import Batch
from sdmodel.data.pixels import to_float

CONFIG = TrainConfig(
    objective="contrastive",
    size=32,
    text=TextConfig(length=16, vocabulary=400),
    contrastive=ContrastiveConfig(embedding=16, image_width=4, text_width=16, text_layers=1, text_heads=2),
)
CAPTIONS = [
    f"a {size} {colour} hat" for size in ("big", "tiny", "flat") for colour in ("red", "blue", "green")
]


def objective(seed: int = 0) -> ContrastiveObjective:
    torch.manual_seed(seed)
    return ContrastiveObjective(CONFIG, CAPTIONS * 3)


def batch(first: int, count: int) -> Batch:
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows = range(first, first + count)
    return Batch(
        images=images[first : first + count],
        captions=[CAPTIONS[row] for row in rows],
        uids=[str(row) for row in rows],
        index=torch.tensor(list(rows)),
        size=8,
        start=first,
    )


def trained(steps: int = 3) -> tuple[ContrastiveObjective, dict[str, Tensor]]:
    ours = objective()
    optimizer = torch.optim.AdamW(ours.modules.parameters(), 1e-2)
    for _ in range(steps):
        ours.modules(batch(0, 8))["contrastive"].backward()
        optimizer.step()
        optimizer.zero_grad()
    return ours, {name: value.detach().clone() for name, value in ours.modules.state_dict().items()}


def test_stock_open_clip_loads_the_folder_and_agrees(tmp_path: Path):
    ours, weights = trained()
    ours.save(tmp_path, weights)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{tmp_path}")
    model.eval()
    ours.modules.eval()
    captions = [
        "A big  blue hat",
        "",
        "something 🎉 else that is much longer than the text tower can read, so it is cut",
    ]
    assert torch.equal(
        tokenize(captions), ours.tokenizer.token_ids([" ".join(c.split()) for c in captions], 16)
    )
    pixels = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image = preprocess(Image.fromarray(pixels.numpy()))[None]
    torch.testing.assert_close(image[0], to_float(pixels.permute(2, 0, 1)))  # [-1, 1], as in training
    with torch.no_grad():
        for theirs, mine in (
            (model.encode_image(image), ours.modules.clip.encode_image(image)),
            (model.encode_text(tokenize(captions)), ours.modules.clip.encode_text(tokenize(captions))),
        ):
            assert (torch.cosine_similarity(theirs, mine) > 0.999).all()  # weights were rounded to float16


def test_a_training_can_start_from_a_folder(tmp_path: Path):
    ours, weights = trained()
    ours.save(tmp_path, weights)
    other = ContrastiveObjective(CONFIG, ["quite other words"] * 4)
    other.start(tmp_path)
    for name, value in other.modules.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=2e-3, atol=1e-4)
    assert len(other.tokenizer) == len(ours.tokenizer)
    # A length that follows the captions gives way to what the folder was taught on.
    following = replace(CONFIG, text=replace(CONFIG.text, length=0))
    (reader,) = (last := ContrastiveObjective(following, ["a b c d " * 20] * 4)).readers
    assert reader.length > 64
    last.start(tmp_path)
    assert last.modules.clip.context_length == last.readers[0].length == 16
    larger = replace(CONFIG, contrastive=replace(CONFIG.contrastive, embedding=32))
    with pytest.raises(ValueError, match="'embed_dim': 16"):
        ContrastiveObjective(larger, CAPTIONS).start(tmp_path)


def test_the_folder_holds_plain_files(tmp_path: Path):
    ours, weights = trained(0)
    ours.save(tmp_path, weights)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    assert (
        json.loads((tmp_path / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]["pad_id"] == 0
    )


@pytest.mark.parametrize("foils", [0, 1, 3])
def test_any_number_of_foils_has_a_finite_loss(foils: int):
    torch.manual_seed(0)
    config = replace(CONFIG, contrastive=replace(CONFIG.contrastive, foils=foils))
    loss = ContrastiveObjective(config, CAPTIONS * 3).modules(batch(0, 8))["contrastive"]
    loss.backward()
    assert loss.isfinite()


def test_pairs_are_learned():
    ours, _ = trained(0)
    before = ours.modules(batch(0, 8))["contrastive"].item()
    ours, _ = trained(40)
    assert ours.modules(batch(0, 8))["contrastive"].item() < before / 2
