"""CLIP's text model as Stable Diffusion reads it, from nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, CLIPTextModel

from sdmodel.config.model import UNet2DConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.objectives import objective_of
from sdmodel.text.build import learn
from sdmodel.text.pipeline import PipelineTextEncoder
from sdmodel.text.unread import UnreadCaptions
from tests import frozen

WORDS = ["a red cat <mask>", "a blue dog, <pad> and more than eight tokens", ""]
CLIP = TextConfig(kind="clip", width=16, heads=2, length=8, vocabulary=300)
CONFIG = TrainConfig(
    network="unet2d",
    size=8,
    text=CLIP,
    unet2d=UNet2DConfig(channels=(8, 8), blocks=1, attention=(True, False), head_width=4, groups=4),
)


@torch.no_grad()
def test_stock_parts_read_captions_the_same(tmp_path: Path):
    torch.manual_seed(0)
    text = PipelineTextEncoder.of_config(CLIP, WORDS * 2).eval()
    expected = text.encode_captions(WORDS)
    assert expected.mask.all()
    text.save(tmp_path, text.state_dict())
    model: Any = CLIPTextModel.from_pretrained(tmp_path / "text_encoder")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    ids: Any = tokenizer(
        WORDS,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    torch.testing.assert_close(model(ids.input_ids)[0], expected.states)
    again = PipelineTextEncoder.load(tmp_path)
    assert torch.equal(again.encode_captions(WORDS).states, expected.states)
    # Until its end a caption's tokens are those of the kind clip, which sees no padding.
    torch.manual_seed(0)
    clip = learn(CLIP, WORDS * 2).eval()
    states, mask = clip.encode_captions(WORDS).states, clip.encode_captions(WORDS).mask
    torch.testing.assert_close(expected.states[mask], states[mask])


def test_a_unet_of_diffusers_alone_is_taught_so():
    torch.manual_seed(0)
    model = objective_of(CONFIG, WORDS * 2).modules
    assert isinstance(model.text, PipelineTextEncoder)
    slow = replace(CONFIG, text=replace(CLIP, rate=0.1))
    assert slow.learning.rates == {"text.": 0.1}
    objective_of(slow, WORDS * 2)
    for other in (replace(CONFIG, network="unet"), replace(CONFIG, texts=(CLIP,))):
        assert not isinstance(objective_of(other, WORDS * 2).modules.text, PipelineTextEncoder)


@pytest.mark.parametrize("kind", ["clip", "transformer"])
def test_every_parameter_has_a_gradient(kind: Any):
    """DistributedDataParallel waits for all of them."""
    torch.manual_seed(0)
    config = replace(CONFIG, text=replace(CLIP, kind=kind))
    modules = objective_of(config, WORDS * 2).modules
    torch.nn.init.normal_(modules.get_parameter("network.unet.conv_out.weight"))
    images, captions = torch.randn(4, 3, 8, 8), WORDS[:2] * 2
    batch = Batch(images=images, captions=captions, uids=captions, index=torch.arange(4), size=4, start=0)
    modules(batch)["denoising"].backward()
    assert [name for name, p in modules.named_parameters() if p.grad is None] == []


@torch.no_grad()
def test_stable_diffusion_2_pads_with_a_sign_and_lends_its_length(tmp_path: Path):
    folder = frozen.text_encoder(tmp_path, pad="z</w>")
    text = PipelineTextEncoder.load(folder, 5)
    states = text.encode_captions(["a", "abcdefgh"]).states
    assert states.shape == (2, 5, 8)
    ids = torch.tensor([[52, 26, 53, 51, 51]])  # start, a, end, z, z
    torch.testing.assert_close(states[:1], text.model(ids)[0])


def test_unread_captions_say_nothing():
    condition = UnreadCaptions().encode_captions(["a", "b"], torch.tensor([True, False]))
    assert condition.joined(condition).rows(1, 3).states.shape == (2, 0, 0)
