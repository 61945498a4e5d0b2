"""transformers' models as text encoders: against the models called directly, and from folders of others."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.testing import assert_close
from transformers import (
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    CLIPConfig,
    CLIPModel,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from sdmodel.config.model import ContrastiveConfig
from sdmodel.config.text import TextConfig, TextKind
from sdmodel.config.train import TrainConfig
from sdmodel.contrastive import clip
from sdmodel.text import build
from sdmodel.text.encoder import TextEncoder
from sdmodel.text.pretrained import TransformersTokenizer
from sdmodel.text.tokenizer import Tokenizer
from tests import frozen

CAPTIONS = ["a red hat", "two green hats on a cat", ""]
KINDS: tuple[TextKind, ...] = ("bert", "clip", "t5")


def config_of(kind: TextKind, **changes: Any) -> TextConfig:
    return TextConfig(
        kind=kind, **{"width": 8, "layers": 2, "heads": 2, "length": 9, "vocabulary": 300} | changes
    )


def shaken(module: nn.Module) -> nn.Module:
    """No weight is zero or one, as after a few steps."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn_like(p), alpha=0.3)
    return module.eval()


def made(kind: TextKind, **changes: Any) -> TextEncoder:
    torch.manual_seed(0)
    encoder = build.learn(config_of(kind, **changes), CAPTIONS * 2)
    shaken(encoder)
    return encoder


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_read_by_transformers(kind: TextKind, tmp_path: Path):
    encoder = made(kind)
    encoder.save(tmp_path, encoder.state_dict())
    # Of a T5 AutoModel takes the decoder too.
    auto = AutoModelForTextEncoding if kind == "t5" else AutoModel
    model, told = auto.from_pretrained(tmp_path, local_files_only=True, output_loading_info=True)
    assert {name for name in told["missing_keys"] if not name.startswith("pooler.")} == set()
    words = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert (len(words), words.model_max_length) == (len(encoder.tokenizer), 9)
    given = words(CAPTIONS, padding=True, return_tensors="pt")
    ids, mask = encoder.tokenize(CAPTIONS)
    longest = given["input_ids"].shape[1]
    assert torch.equal(given["input_ids"], ids[:, :longest])
    states = model.eval()(
        input_ids=given["input_ids"], attention_mask=given["attention_mask"]
    ).last_hidden_state
    found, pooled = encoder(ids, mask)
    assert_close(found[:, :longest], states * mask[:, :longest, None])
    wanted = {
        "bert": states[:, 0],
        "clip": torch.stack([row[int(kept.sum()) - 1] for row, kept in zip(states, mask, strict=True)]),
        "t5": torch.stack([row[kept].mean(0) for row, kept in zip(states, mask[:, :longest], strict=True)]),
    }
    assert_close(pooled, wanted[kind])


def test_a_pipelines_folder_is_read_with_its_own_tokenizer(tmp_path: Path):
    """Its padding has the end's id, yet the end is not hidden."""
    frozen.text_encoder(tmp_path, width=6, places=10)
    encoder = build.load(tmp_path, TextConfig(kind="clip", width=99, heads=3, length=7, queries=5, rate=0.1))
    shape = encoder.config
    assert (shape.width, shape.layers, shape.heads, shape.length) == (6, 2, 2, 7)
    assert (shape.queries, shape.rate) == (5, 0.1)
    told = encoder.eval().encode_captions(["ab", "", "abcdefghij"])
    assert told.mask.sum(1).tolist() == [4, 2, 7]

    model = CLIPTextModel.from_pretrained(tmp_path / "text_encoder").eval()
    words = AutoTokenizer.from_pretrained(tmp_path / "tokenizer", local_files_only=True)
    for row, caption in enumerate(["ab", "", "abcdefghij"]):
        stock = model(**words([caption], truncation=True, max_length=7, return_tensors="pt"))
        assert_close(told.states[row][told.mask[row]], stock.last_hidden_state[0])
        assert_close(told.pooled[row], stock.pooler_output[0])

    again = tmp_path / "again"
    again.mkdir()
    encoder.save(again, encoder.state_dict())
    assert_close(build.load(again, shape).eval().encode_captions(["ab"]).pooled, told.pooled[:1])


def with_words(folder: Path, model: Any) -> Path:
    """A whole model of transformers, and a tokenizer of ours."""
    shaken(model)
    model.save_pretrained(folder)
    Tokenizer.learn(CAPTIONS * 2, 300).save(folder)
    return folder


def test_of_whole_models_the_encoder_is_taken(tmp_path: Path):
    torch.manual_seed(0)
    small = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = torch.tensor([[1, 7, 8, 2]])
    mask = ids != 0

    bert = BertForMaskedLM(BertConfig(vocab_size=300, **small))
    encoder = build.load(with_words(tmp_path / "bert", bert), config_of("bert", dropout=0.25))
    assert encoder.training
    assert encoder.model.config.hidden_dropout_prob == 0.25
    assert_close(encoder.eval()(ids, mask)[0], bert.bert(ids).last_hidden_state)

    both = CLIPModel(
        CLIPConfig(
            text_config={**small, "vocab_size": 300, "max_position_embeddings": 8},
            vision_config={**small, "image_size": 8, "patch_size": 4},
        )
    )
    encoder = build.load(with_words(tmp_path / "clip", both), config_of("clip"))
    assert encoder.length == 8
    assert_close(encoder.eval()(ids, mask)[0], both.text_model(ids).last_hidden_state)

    # 3 heads of 4 channels: queries of a denoiser cannot have as many.
    t5 = T5ForConditionalGeneration(
        T5Config(vocab_size=300, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=3)
    )
    encoder = build.load(with_words(tmp_path / "t5", t5), config_of("t5"))
    assert (encoder.config.heads, encoder.config.layers, encoder.length) == (2, 2, 9)
    assert_close(encoder.eval()(ids, mask)[0], t5.encoder(ids).last_hidden_state)


@pytest.mark.parametrize("tower", [{}, {"quick_gelu": True}])
def test_a_folder_of_the_contrastive_objective_gives_its_text_tower(tmp_path: Path, tower: dict[str, bool]):
    torch.manual_seed(0)
    config = TrainConfig(
        objective="contrastive",
        size=32,
        text=TextConfig(length=9, vocabulary=300),
        contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=2, text_heads=2),
    )
    tokenizer = Tokenizer.learn(CAPTIONS * 2, 300)
    clip.save(tmp_path, config, tokenizer, shaken(clip.build(config, len(tokenizer))).state_dict())
    file = tmp_path / "open_clip_config.json"
    held = json.loads(file.read_text())
    held["model_cfg"] |= tower
    file.write_text(json.dumps(held))

    encoder = build.load(tmp_path, config_of("clip", length=32)).eval()
    shape = encoder.config
    assert (shape.width, shape.layers, shape.heads, shape.length) == (16, 2, 2, 9)
    peer, _ = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}")
    words = open_clip.get_tokenizer(f"local-dir:{tmp_path}")
    assert isinstance(peer, open_clip.CLIP)
    with torch.no_grad():
        ours = encoder.encode_captions(CAPTIONS).pooled @ peer.text_projection
        assert_close(ours, peer.eval().encode_text(words(CAPTIONS)))


def test_folders_that_hold_something_else_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r'holds nothing that is known; text.kind="bert" needs'):
        build.load(tmp_path, config_of("bert"))
    encoder = made("bert")
    encoder.save(tmp_path, encoder.state_dict())
    with pytest.raises(ValueError, match=r'holds bert; text.kind="t5" needs one of its own kind'):
        build.load(tmp_path, config_of("t5"))

    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"its weights lack \['encoder.layer.1.output.dense.weight'\]"):
        build.load(tmp_path, config_of("bert"))

    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds no text encoder that transformers reads"):
        build.load(tmp_path, config_of("bert"))

    encoder.save(tmp_path, encoder.state_dict())
    Tokenizer.learn([f"word{n} word{n}" for n in range(500)], 400).save(tmp_path)
    with pytest.raises(ValueError, match="its tokenizer has 400 entries, its model"):
        build.load(tmp_path, config_of("bert"))
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(ValueError, match="holds no tokenizer that transformers reads"):
        build.load(tmp_path, config_of("bert"))


def words_of(*special: str, ends: bool = True) -> Any:
    """A tokenizer of somebody else's, with two words."""
    known = {word: number for number, word in enumerate(["</s>", "red", "hat", *special])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, "</s>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if ends:
        words.post_processor = tokenizers.processors.TemplateProcessing(
            "$A </s>", special_tokens=[("</s>", 0)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", extra_special_tokens=[*special])


def test_padding_of_others_is_an_id_of_its_own():
    words = TransformersTokenizer(words_of())
    assert (words.pad, len(words), words.mask) == (3, 4, -1)
    assert words.token_ids(["red hat", "", "hat " * 9], 4).tolist() == [
        [1, 2, 0, 3],
        [0, 3, 3, 3],
        [2, 2, 2, 0],
    ]
    assert TransformersTokenizer(words_of("<extra_id_0>")).mask == 3
    with pytest.raises(ValueError, match="the empty caption has no token"):
        TransformersTokenizer(words_of(ends=False))
