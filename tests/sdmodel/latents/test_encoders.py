"""The frozen encoders: what they give is what diffusers and transformers give, and what they refuse."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]
from transformers import CLIPTextModel, CLIPTokenizer

from sdmodel.latents import autoencoder, text
from tests import frozen


def test_moments_are_those_of_diffusers_and_decode_is_its_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = frozen.autoencoder(tmp_path / "vae")
    ours = autoencoder.load_autoencoder(folder)
    theirs: Any = AutoencoderKL.from_pretrained(folder)
    pixels = torch.rand(2, 3, 8, 12) * 2 - 1
    moments = ours.moments(pixels)
    with torch.no_grad():
        posterior = theirs.encode(pixels).latent_dist
        pictures = theirs.decode(posterior.mean).sample
    assert (ours.channels, ours.factor, moments.shape) == (3, 2, (2, 6, 4, 6))
    assert moments.dtype == torch.float32
    # Convolutions of arrays that lie elsewhere in memory may differ in the last bits.
    expected = torch.cat([posterior.mean, posterior.logvar], dim=1)
    assert torch.allclose(moments, expected, atol=1e-5)
    assert torch.allclose(ours.decode(posterior.mean), pictures, atol=1e-5)
    with pytest.raises(ValueError, match="multiples of 2"):
        ours.moments(pixels[..., :7])
    # A few at a time, as large pictures are.
    monkeypatch.setattr(autoencoder, "AT_ONCE", 100)
    assert torch.allclose(ours.moments(pixels), moments, atol=1e-5)
    assert torch.allclose(ours.decode(posterior.mean), pictures, atol=1e-5)


def test_states_are_those_of_transformers_with_captions_cut_and_padded(tmp_path: Path):
    folder = frozen.text_encoder(tmp_path)
    ours = text.load_text_encoder(folder, length=6)
    captions = ["cat", "", "a very long one"]
    told = ours.encode_captions(captions)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    theirs: Any = CLIPTextModel.from_pretrained(folder / "text_encoder")
    ids = tokenizer(captions, padding="max_length", max_length=6, truncation=True, return_tensors="pt")
    with torch.no_grad():
        found = theirs(ids["input_ids"])
    assert torch.equal(told.states, found.last_hidden_state)
    assert torch.equal(told.pooled, found.pooler_output)
    assert told.states.shape == (3, 6, 8)
    assert told.mask.all()
    assert text.load_text_encoder(folder).encode_captions(["cat"]).states.shape == (1, 8, 8)
    # The same caption gives the same states, whatever stands beside it.
    assert torch.allclose(ours.encode_captions(["cat"]).states[0], told.states[0], atol=1e-6)
    some = ours.encode_captions(["cat", "dog", "a very long one"], torch.tensor([False, True, False]))
    assert torch.equal(some.states, told.states)
    assert torch.allclose(ours.empty.pooled[0], told.pooled[1], atol=1e-6)


def test_what_is_no_encoder_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="holds no AutoencoderKL"):
        autoencoder.load_autoencoder(tmp_path)
    with pytest.raises(ValueError, match="holds no CLIP text encoder"):
        text.load_text_encoder(tmp_path)
    folder = frozen.text_encoder(tmp_path / "text")
    with pytest.raises(ValueError, match=r"encode\.length=9: the text encoder knows places for 8"):
        text.load_text_encoder(folder, length=9)
