"""Which weights of every network Muon learns, and how several matrices lie in one: a list by names, so that
who adds a layer has to say what it is."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sdmodel.config.learning import LoraConfig
from sdmodel.config.model import ContrastiveConfig
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.text import TextConfig, TextKind
from sdmodel.denoise.attention import JointAttention
from sdmodel.lora import inject
from sdmodel.objectives import objective_of
from sdmodel.pretrain.labels import Column, LabelHeads, Labels
from sdmodel.selfsupervised.objective import task_of
from sdmodel.text import build
from sdmodel.text.conditioner import TextConditioner
from sdmodel.train.optim.roles import Layout, weights
from tests.sdmodel.golden.tiny import config_of

CAPTIONS = ["a red cat", "a blue hat"] * 4
TEXT = TextConfig(width=8, layers=1, heads=2, queries=2, length=8, vocabulary=300, buckets=50)


def trained(curve: str) -> Callable[[], nn.Module]:
    return lambda: objective_of(config_of(curve), CAPTIONS).modules


def part(curve: str, name: str) -> Callable[[], nn.Module]:
    return lambda: trained(curve)().get_submodule(name)


def encoder(kind: TextKind) -> Callable[[], nn.Module]:
    return lambda: build.learn(replace(TEXT, kind=kind), CAPTIONS)


def joined() -> nn.Module:
    return TextConditioner.learn(
        (replace(TEXT, kind="fasttext"), replace(TEXT, kind="fasttext", width=6)), CAPTIONS
    )


def heads() -> nn.Module:
    return LabelHeads(8, Labels({"colour": Column(("blue", "red"), tags=False)}, {}))


def clip() -> nn.Module:
    vit = ContrastiveConfig(
        tower="vit", embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2
    )
    return objective_of(config_of("contrastive", contrastive=vit), CAPTIONS).modules


VAE = r"vae\.(en|de)coder\."
DIFFUSERS = r"unet\.(down_blocks\.\d|mid_block|up_blocks\.\d)\."
BLOCK = r"(encoder\.\d\.\d|decoder\.\d\.\d|middle)\."
ATTENTION = r"transformer\.resblocks\.\d\.attn\.(in_proj_weight|out_proj)"
RESNET = (r"layer\d\.\d\.conv\d", r"layer\d\.\d\.downsample\.(0|1)")
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "unet": (
        part("diffusion", "network"),
        (
            *(r"(down|up|skip)\.\d", "pixels", "fine", BLOCK + "(widen|narrow)"),
            r"attention\.(query|words|places|out)",
            *("caption", "condition", r"layout\.[01]"),
        ),
        (
            *("time", "stem", "out"),
            BLOCK + "film",
        ),
        (BLOCK + "space", r"maps\.\d"),
    ),
    "dit": (
        part("dit", "network"),
        (r"blocks\.\d\.(places|words)\.(query|key_value|out)", r"blocks\.\d\.(widen|narrow)", "caption"),
        (
            *(r"time\.[02]", r"augmentation\.labels", "words", "stem", "modulation", "out"),
            r"blocks\.\d\.modulation",
        ),
        (),
    ),
    "unet2d": (
        part("unet2d", "network"),
        (
            DIFFUSERS + r"resnets\.\d\.(conv[12]|conv_shortcut)",
            DIFFUSERS + r"(down|up)samplers\.0\.conv",
            DIFFUSERS + r"attentions\.\d\.(proj_in|proj_out)",
            DIFFUSERS + r"attentions\.\d\.transformer_blocks\.0\.attn[12]\.to_(q|k|v|out\.0)",
            DIFFUSERS + r"attentions\.\d\.transformer_blocks\.0\.ff\.net\.(0\.proj|2)",
        ),
        (
            *(r"unet\.conv_in", r"unet\.conv_out", r"unet\.time_embedding\.linear_[12]"),
            DIFFUSERS + r"resnets\.\d\.time_emb_proj",
        ),
        (),
    ),
    "autoencoder": (
        trained("autoencoder"),
        (
            VAE + r"(mid_block|(down|up)_blocks\.\d)\.resnets\.\d\.(conv[12]|conv_shortcut)",
            VAE + r"(down|up)_blocks\.\d\.(down|up)samplers\.0\.conv",
            VAE + r"mid_block\.attentions\.0\.to_(q|k|v|out\.0)",
        ),
        (VAE + "(conv_in|conv_out)", r"vae\.(post_)?quant_conv"),
        (),
    ),
    "selfsupervised": (
        trained("selfsupervised"),
        (r"encoder\.conv1\.[36]", *(rf"encoder\.{name}" for name in RESNET), r"head\.0"),
        (r"encoder\.conv1\.0", r"head\.2"),
        (),
    ),
    "masked": (
        trained("masked"),
        (r"(encoder|head)\.blocks\.\d\.(attn\.(qkv|proj)|mlp\.fc[12])", r"head\.widen"),
        (r"encoder\.patches", r"head\.out"),
        (),
    ),
    "rotation, resnet18": (
        lambda: task_of(SelfSupervisedConfig(method="rotation", tower="resnet18"), None),
        tuple(rf"encoder\.{name}" for name in RESNET),
        (r"encoder\.conv1", "head"),
        (),
    ),
    "contrastive, resnet": (
        trained("contrastive"),
        (
            *(r"clip\.visual\.conv[23]", *(rf"clip\.visual\.{name}" for name in RESNET)),
            *(r"clip\.visual\.attnpool\.[qkv]_proj", r"clip\." + ATTENTION),
            r"clip\.transformer\.resblocks\.0\.mlp\.(c_fc|c_proj)",
        ),
        (r"clip\.visual\.conv1", r"clip\.visual\.attnpool\.c_proj"),
        (
            *(r"clip\.positional_embedding", r"clip\.text_projection", r"clip\.token_embedding"),
            r"clip\.visual\.attnpool\.positional_embedding",
        ),
    ),
    "contrastive, vit": (
        clip,
        (
            r"clip\.(visual\.)?" + ATTENTION,
            r"clip\.(visual\.)?transformer\.resblocks\.\d\.mlp\.(c_fc|c_proj)",
        ),
        (r"clip\.visual\.conv1",),
        (
            *(r"clip\.positional_embedding", r"clip\.text_projection", r"clip\.token_embedding"),
            *(r"clip\.visual\.positional_embedding", r"clip\.visual\.proj"),
        ),
    ),
    "text": (
        trained("text"),
        (
            *(r"encoder\.blocks\.0\.attention\.(query|key_value|out)", r"encoder\.blocks\.0\.mlp\.[02]"),
            *(r"pairing\.tower\.conv[23]", *(rf"pairing\.tower\.{name}" for name in RESNET)),
            *(r"pairing\.tower\.attnpool\.[qkv]_proj", r"masked\.layers\.0"),
        ),
        (
            *(r"pairing\.tower\.conv1", r"pairing\.tower\.attnpool\.c_proj", r"pairing\.project"),
            *(r"masked\.layers\.3", r"next\.layers\.0"),
        ),
        (r"encoder\.token", r"pairing\.tower\.attnpool\.positional_embedding"),
    ),
    "labels": (heads, (), (r"layers\.column colour",), ()),
    "conditioner": (
        joined,
        (r"match\.0", r"pool\.(query|key_value|out)"),
        (),
        ("queries", r"encoders\.\d\.words\.table"),
    ),
    "cnn": (encoder("cnn"), (r"convolutions\.\d", "join"), (), ("token",)),
    "gru": (encoder("gru"), (), (), ("token", r"(onward|back)\.layers\.0\.weight_(ih|hh)_l0")),
    "lstm": (encoder("lstm"), (), (), ("token", r"(onward|back)\.layers\.0\.weight_(ih|hh)_l0")),
    "rnn": (encoder("rnn"), (), (), ("token", r"(onward|back)\.layers\.0\.weight_(ih|hh)_l0")),
    "bert": (
        encoder("bert"),
        (
            r"model\.encoder\.layer\.0\.attention\.(self\.(query|key|value)|output\.dense)",
            r"model\.encoder\.layer\.0\.(intermediate|output)\.dense",
        ),
        (),
        (r"model\.embeddings\.(word|position|token_type)_embeddings",),
    ),
    "clip": (
        encoder("clip"),
        (
            r"model\.(text_model\.)?encoder\.layers\.0\.self_attn\.(q|k|v|out)_proj",
            r"model\.(text_model\.)?encoder\.layers\.0\.mlp\.fc[12]",
        ),
        (),
        (r"model\.(text_model\.)?embeddings\.(token|position)_embedding",),
    ),
    "t5": (
        encoder("t5"),
        (
            r"model\.encoder\.block\.0\.layer\.0\.SelfAttention\.[qkvo]",
            r"model\.encoder\.block\.0\.layer\.1\.DenseReluDense\.(wi|wi_[01]|wo)",
        ),
        (),
        (r"model\.shared", r"model\.encoder\.block\.0\.layer\.0\.SelfAttention\.relative_attention_bias"),
    ),
}  # fmt: skip
"""Network: what builds it, its hidden matrices, its other matrices, and what else has two axes or more."""
LAYOUTS = {
    "unet": {r"attention\.(words|places)": Layout(2, 2), r"up\.0": Layout(transposed=True)},
    "dit": {r"blocks\.\d\.(places|words)\.key_value": Layout(1, 2)},
    "unet2d": {DIFFUSERS + r"attentions\.\d\.transformer_blocks\.0\.ff\.net\.0\.proj": Layout(1, 2)},
    "masked": {r"(encoder|head)\.blocks\.\d\.attn\.qkv": Layout(1, 3)},
    "contrastive, resnet": {r"clip\.transformer\.resblocks\.0\.attn\.in_proj_weight": Layout(1, 3)},
    "contrastive, vit": {r"clip\.(visual\.)?transformer\.resblocks\.\d\.attn\.in_proj_weight": Layout(1, 3)},
    "text": {r"encoder\.blocks\.0\.attention\.key_value": Layout(1, 2)},
    "conditioner": {r"pool\.key_value": Layout(1, 2)},
}
"""Network: those of its weights that hold several matrices, or one that lies across."""


def matching(names: set[str], patterns: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """Names that one of the patterns fits, and patterns that fit no name."""
    fitting = {name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)}
    return fitting, [
        pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)
    ]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_weight_of_a_network_has_the_role_in_the_list(network: str):
    make, *patterns = NETWORKS[network]
    torch.manual_seed(0)
    known = [weight for weight in weights(make()) if weight.parameter.ndim > 1]
    layouts = LAYOUTS.get(network, {})
    for role, listed in zip(("hidden", "matrix", "vector"), patterns, strict=True):
        names = {weight.name.removesuffix(".weight") for weight in known if weight.role == role}
        assert matching(names, listed) == (names, []), role
    for weight in known:
        name = weight.name.removesuffix(".weight")
        layout = next((at for pattern, at in layouts.items() if re.fullmatch(pattern, name)), Layout())
        assert weight.layout == layout, name
    assert all(any(re.fullmatch(p, w.name.removesuffix(".weight")) for w in known) for p in layouts)


def test_the_list_has_every_kind_of_encoder():
    assert {"transformer", "fasttext", *NETWORKS} >= set(get_args(TextKind))  # in "text" and "conditioner"


@pytest.mark.parametrize("network", ["unet", "dit", "unet2d"])
def test_no_change_of_low_rank_is_hidden(network: str):
    curve = {"unet": "diffusion"}.get(network, network)
    modules = objective_of(config_of(curve), CAPTIONS).modules
    inject(modules, LoraConfig(rank=2))
    learned = [weight for weight in weights(modules) if weight.parameter.requires_grad]
    assert learned
    assert {(weight.role, ".lora_" in weight.name) for weight in learned} == {("matrix", True)}


def test_keys_and_values_of_heads_are_told_apart():
    """As the attention itself does it, head by head."""
    torch.manual_seed(0)
    attention = JointAttention(8, 6, heads=2)
    (words,) = (w for w in weights(attention) if w.name == "words.weight")
    keys, values = words.layout.split(words.parameter)
    states = torch.randn(1, 5, 6)
    k, v = attention._split(attention.words(states)).chunk(2, dim=-1)  # (1, heads, 5, 4)
    assert_close(states @ keys.T, k.transpose(1, 2).flatten(2))
    assert_close(states @ values.T, v.transpose(1, 2).flatten(2))


def test_the_parts_of_torchs_attention_are_queries_keys_and_values():
    attention = nn.MultiheadAttention(8, 2)
    (fused,) = (w for w in weights(attention) if w.name == "in_proj_weight")
    assert_close(fused.layout.split(fused.parameter).flatten(0, 1), attention.in_proj_weight)
    assert len(fused.layout.split(fused.parameter)) == 3


def test_a_transposed_convolution_is_the_matrix_of_its_places():
    layer = nn.ConvTranspose2d(3, 2, 2, stride=2, bias=False)
    (weight,) = weights(layer)
    (matrix,) = weight.layout.split(weight.parameter)
    assert weight.layout.shape(weight.parameter) == matrix.shape == (8, 3)
    x = torch.randn(1, 3, 1, 1)
    assert_close(matrix @ x.flatten(), layer(x).flatten())


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (Layout(), (6, 4)),
        (Layout(), (6, 2, 3, 3)),
        (Layout(1, 3), (12, 5)),
        (Layout(4, 2), (24, 5)),
        (Layout(transposed=True), (6, 2, 3, 3)),
    ],
)
def test_what_is_split_is_joined_again(layout: Layout, shape: tuple[int, ...]):
    weight = torch.randn(shape)
    parts = layout.split(weight)
    assert parts.shape[1:] == layout.shape(weight)
    assert torch.equal(layout.join(parts, weight.shape), weight)


def test_a_module_speaks_of_what_is_below_it_alone():
    class Net(nn.Module):
        adamw_layers = ("stem", "*.gate")

        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Linear(4, 4)
            self.stem_2 = nn.Linear(4, 4)
            self.blocks = nn.ModuleList([nn.ModuleDict({"gate": nn.Linear(4, 4), "mix": nn.Linear(4, 4)})])

    both = nn.ModuleDict({"one": Net(), "stem": nn.Linear(4, 4)})
    hidden = {weight.name for weight in weights(both) if weight.role == "hidden"}
    assert hidden == {"one.stem_2.weight", "one.blocks.0.mix.weight", "stem.weight"}


def test_shared_weights_are_counted_once():
    first = nn.Linear(4, 4, bias=False)
    assert [w.name for w in weights(nn.ModuleDict({"a": first, "b": first}))] == ["a.weight"]
