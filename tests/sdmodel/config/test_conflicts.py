"""What cannot be together in a training is refused when its config is made, with keys, values and remedy."""

from dataclasses import replace
from typing import Any

import pytest

from sdmodel.config.adversary import PatchAdversaryConfig
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.conditions import (
    ClassColumnConfig,
    ConditionsConfig,
    PictureSizeConfig,
    PseudoLabelsConfig,
)
from sdmodel.config.conflicts import denoiser_conflicts
from sdmodel.config.learning import (
    DataConfig,
    EmaConfig,
    GuardConfig,
    LoraConfig,
    OptimizerConfig,
    ValidationConfig,
)
from sdmodel.config.limits import Config, ConfigError
from sdmodel.config.model import (
    ContrastiveConfig,
    DiTConfig,
    UNet2DConfig,
    UNetConfig,
)
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.selfsupervised import MaskedConfig, PatchTransformerConfig, SelfSupervisedConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig

SHAPE = ClassColumnConfig(column="shape")
VIT = ContrastiveConfig(tower="vit", patch=8)
NOISY = PretrainConfig(noise=1.0, flips=0.1)
PATCHES = SelfSupervisedConfig(tower="vit")
HIDDEN = SelfSupervisedConfig(tower="vit", method="masked")
TURNED = SelfSupervisedConfig(method="rotation")
EIGHT_BITS = OptimizerConfig(kind="adamw8bit")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (ConditionsConfig, {"columns": (SHAPE, SHAPE)}, "'shape' names two conditions; .*rename the column"),
        (ConditionsConfig, {"columns": (ClassColumnConfig(column="caption"),)}, "'caption' names two"),
        (ConditionsConfig, {"width": 8}, "width=8, .*there are no conditions"),
        (ConditionsConfig, {"dropout": 0.2}, "dropout=0.2, .*there are no conditions"),
        (PictureSizeConfig, {"drawn": 512}, "drawn=512, on=false: .*set on"),
        (PseudoLabelsConfig, {"confidence": 0.5}, "confidence=0.5, labels='': .*name a table"),
        (
            TrainConfig,
            {"conditions": ConditionsConfig(columns=(SHAPE,)), "objective": "autoencoder"},
            "this objective has no conditions; leave them out",
        ),
        (
            TrainConfig,
            {"sampling": SamplingConfig(conditions={"shape": 2.0})},
            r"\['shape'\] are no conditions of this model",
        ),
        (EmaConfig, {"lengths": (0.1,)}, r"lengths=\[0.1\] must be two or more"),
        (EmaConfig, {"lengths": (0.1, 0.1)}, r"lengths=\[0.1, 0.1\] must be two or more.*no two alike"),
        (ValidationConfig, {"patience": 3}, "patience=3, every=0: nothing is validated; set every"),
        (ValidationConfig, {"prompts": ("a",)}, r"prompts=\['a'\], every=0: "),
        (
            TrainConfig,
            {"accumulate": 2, "objective": "contrastive"},
            "accumulate=2, objective='contrastive'",
        ),
        (TrainConfig, {"accumulate": 2, "objective": "text"}, "accumulate=2, objective='text': all"),
        (TrainConfig, {"accumulate": 48}, "accumulate=48, batch=64, processes=0: accumulate must divide"),
        (TrainConfig, {"accumulate": 16, "processes": 8}, "accumulate=16, batch=64, processes=8: "),
        (GuardConfig, {"spike": 0.5}, r"spike=0.5 must be above 1.*0 looks for none"),
        (UNetConfig, {"channels": (8, 12), "heads": 8}, r"heads=8, channels=\[8, 12\].*divide .*12"),
        (
            UNet2DConfig,
            {"channels": (32, 64)},
            r"attention=\[.*name 2 levels",
        ),
        (UNet2DConfig, {"groups": 3}, r"groups=3.*divide \[320, 640, 1280, 1280\]"),
        (UNet2DConfig, {"head_width": 7}, r"head_width=7.*does not divide \[320, 640, 1280\]"),
        (DiTConfig, {"width": 18, "heads": 6}, "width=18, heads=6: .*multiple of heads and.* of 4"),
        (DiTConfig, {"width": 20, "heads": 6}, "width=20, heads=6"),
        (ContrastiveConfig, {"text_width": 10, "text_heads": 3}, "text_heads=3, text_width=10"),
        (AutoencoderConfig, {"channels": (8, 12), "groups": 8}, r"groups=8.*must divide \[12\]"),
        (SelfSupervisedConfig, {"width": 7}, "width=7 must be even.*take 8"),
        (SelfSupervisedConfig, {"method": "masked"}, "tower='resnet': .*take tower vit"),
        (
            SelfSupervisedConfig,
            {"method": "supervised"},
            r"columns=\[\]: name the columns",
        ),
        (
            SelfSupervisedConfig,
            {"columns": ("colour",)},
            "method='contrastive': .*leave columns",
        ),
        (SelfSupervisedConfig, {"method": "rotation", "colour": 0.1}, "colour=0.1, method='rotation'"),
        (SelfSupervisedConfig, {"tower": "resnet18", "width": 8}, "width=8, tower='resnet18'"),
        (SelfSupervisedConfig, {"vit": PatchTransformerConfig(layers=2)}, "tower='resnet'.*leave vit out"),
        (SelfSupervisedConfig, {"masked": MaskedConfig(share=0.5)}, "method='contrastive'.*leave masked out"),
        (PatchTransformerConfig, {"width": 10, "heads": 5}, "width=10, heads=5: .*multiple of heads.* of 4"),
        (MaskedConfig, {"width": 16, "heads": 3}, "width=16, heads=3"),
        (TextConfig, {"length": 2}, "length=2 must be 3 or more.*0 follows the training captions"),
        (TextConfig, {"kernels": (1, 2)}, r"kernels=\[1, 2\] must be odd.*not \[2\]"),
        (TextConfig, {"ngrams": (5, 3)}, r"ngrams=\[5, 3\] must be the shortest and then the longest"),
        (TextConfig, {"width": 8, "heads": 3}, "width=8, heads=3: heads must divide width"),
        (TextConfig, {"kind": "bert", "width": 8, "heads": 3}, "width=8, heads=3: heads must divide width"),
        (
            TextConfig,
            {"width": 6, "heads": 2, "positions": "rotary"},
            "positions='rotary'.*width / heads even",
        ),
        (TextConfig, {"width": 5, "heads": 1, "positions": "sinusoidal"}, "positions='sinusoidal'.*take 6"),
        (TextConfig, {"kind": "gru", "width": 7}, "kind='gru', width=7: two directions.*take 8"),
        (TextConfig, {"vocabulary": 200}, "vocabulary=200, tokens='bpe': take 260 entries or more"),
        (
            NoiseConfig,
            {"zero_terminal_snr": True},
            "zero_terminal_snr=true, schedule='auto': .*begins at noise",
        ),
        (
            NoiseConfig,
            {"schedule": "linear", "zero_terminal_snr": True, "prediction": "epsilon", "loss": "min_snr"},
            "zero_terminal_snr=true, prediction='epsilon': .*predict v or x0",
        ),
        (
            NoiseConfig,
            {"prediction": "epsilon", "loss": "velocity"},
            "schedule='auto', prediction='epsilon', loss='velocity': .*measure epsilon's, or min_snr's",
        ),
        (
            NoiseConfig,
            {"schedule": "cosine", "zero_terminal_snr": True, "prediction": "v", "offset": 0.1},
            "offset=0.1, zero_terminal_snr=true: .*take one",
        ),
        (NoiseConfig, {"gamma": 3.0}, "gamma=3.0, loss='auto': is min_snr's; leave it out, or choose that"),
        (NoiseConfig, {"mode_scale": 1.0}, "mode_scale=1.0, times='auto': is mode's"),
        (NoiseConfig, {"mean": 0.0, "schedule": "linear"}, "mean=0.0, times='auto', schedule='linear': "),
        (NoiseConfig, {"deviation": 1.0, "times": "mode"}, "deviation=1.0, times='mode', .* logit_normal"),
        (NoiseConfig, {"mode_scale": 1.8, "times": "mode"}, "mode_scale=1.8 must be at most 1.75"),
        (
            TrainConfig,
            {
                "lora": LoraConfig(rank=4),
                "start": "models/a@1",
                "noise": NoiseConfig(loss="learned"),
            },
            "noise.loss='learned', lora.rank=4: low-rank changes are all that learns",
        ),
        (PretrainConfig, {"columns": ("a",)}, r"columns=\['a'\], labels=0.0: .*set labels"),
        (PretrainConfig, {"clusters": "clusters/a"}, "clusters='clusters/a', labels=0.0: .*set labels"),
        (PretrainConfig, {"consistency": 1.0}, "consistency=1.0, noise=0.0: .*set noise"),
        (PretrainConfig, {"flips": 0.1}, "flips=0.1, noise=0.0: .*set noise"),
        (TrainConfig, {"accelerate": "x.yaml"}, "accelerate='x.yaml' must stay empty"),
        (TrainConfig, {"processes": 3}, "processes=3, batch=64: processes must divide batch"),
        (
            TrainConfig,
            {"fsdp": True, "optimizer": EIGHT_BITS},
            "fsdp=true, optimizer.kind='adamw8bit': .*adamw",
        ),
        (TrainConfig, {"fsdp": True, "accumulate": 0}, "fsdp=true, accumulate=0: "),
        (
            TrainConfig,
            {"data": DataConfig(uncaptioned=0.1), "objective": "text"},
            "data.uncaptioned=0.1, objective='text': .*leave it at 1",
        ),
        (
            TrainConfig,
            {
                "objective": "autoencoder",
                "autoencoder": AutoencoderConfig(adversary=PatchAdversaryConfig(weight=0.5, layers=2)),
                "optimizer": OptimizerConfig(frozen=("vae.decoder.",)),
            },
            r"autoencoder.adversary.weight=0.5, optimizer.frozen=\['vae.decoder.'\].*does not learn here",
        ),
        (TrainConfig, {"lora": LoraConfig(rank=4)}, "lora.rank=4, start='': .*name one in start"),
        (
            TrainConfig,
            {"lora": LoraConfig(rank=4, merge=False), "start": "models/a@1", "objective": "contrastive"},
            "lora.merge=false, objective='contrastive'",
        ),
        (
            TrainConfig,
            {"objective": "autoencoder", "validation": ValidationConfig(every=1, prompts=("a",))},
            r"validation.prompts=\['a'\], objective='autoencoder'",
        ),
        (TrainConfig, {"size": 36}, r"size=36, unet\.patch=2.*multiple of 8, as 32"),
        (
            TrainConfig,
            {"size": 64, "data": DataConfig(buckets=7), "unet": UNetConfig(channels=(8, 8, 8, 8), patch=4)},
            r"size=64, unet.patch=4, data.buckets=7: sides of .* multiples of 32, and \[48, 80\] are not",
        ),
        (TrainConfig, {"sizes": ((32, 9),)}, r"sizes=\[\(32, 9\)\], images=150000: .*add up to 9 images"),
        (TrainConfig, {"sizes": ((32, 9), (64, 1)), "images": 10}, "size=32: the last size is 64; set size"),
        (
            TrainConfig,
            {"sizes": ((36, 9), (32, 1)), "images": 10},
            r"sizes=.*, size=32, unet\.patch=2.*make 36 a multiple of 8, as 32",
        ),
        (
            TrainConfig,
            {"objective": "contrastive", "sizes": ((32, 9), (64, 1)), "size": 64, "images": 10},
            "objective='contrastive', sizes=.*: the image tower learns a position.*leave sizes out",
        ),
        (
            TrainConfig,
            {"network": "dit", "size": 40, "data": DataConfig(buckets=3)},
            "size=40, data.buckets=3, data.max_aspect=2.0: .*multiple of 16",
        ),
        (
            TrainConfig,
            {"network": "dit", "size": 33},
            r"size=33, dit\.patch=2.*make 33 a multiple of 2, as 32",
        ),
        (TrainConfig, {"text": TextConfig(kind="cnn", heads=3)}, "text.width=64, text.heads=3: heads pool"),
        (TrainConfig, {"objective": "contrastive", "size": 40}, "size=40, contrastive.tower='resnet'.* 32"),
        (
            TrainConfig,
            {"objective": "contrastive", "data": DataConfig(buckets=2)},
            "objective='contrastive', data.buckets=2: .*leave data.buckets out",
        ),
        *(
            (
                TrainConfig,
                {"objective": "contrastive", **changes},
                f"objective='contrastive', {key}=.*any encoder",
            )
            for key, changes in {
                "text.kind": {"text": TextConfig(kind="lstm")},
                "text.start": {"text": TextConfig(start="models/words")},
                "texts": {"texts": (TextConfig(),)},
            }.items()
        ),
        (
            TrainConfig,
            {"objective": "text", "pretrain": PretrainConfig(contrastive=0)},
            "pretrain.contrastive=0, .*pretrain.next=0.0: nothing would be learned",
        ),
        (
            TrainConfig,
            {"objective": "text", "texts": (TextConfig(),)},
            "objective='text', texts=.*one encoder",
        ),
        (
            TrainConfig,
            {"objective": "text", "pretrain": PretrainConfig(labels=1)},
            "labels=1, .*name the columns",
        ),
        (
            TrainConfig,
            {"objective": "text", "pretrain": PretrainConfig(next=1), "text": TextConfig(kind="fasttext")},
            "pretrain.next=1, text.kind='fasttext': .*lstm",
        ),
        (TrainConfig, {"objective": "text", "pretrain": NOISY}, "flips=0.1, validation.every=0"),
        (
            TrainConfig,
            {"objective": "text", "size": 36, "contrastive": VIT},
            "size=36, contrastive.patch=8: .*multiple of 8",
        ),
        (
            TrainConfig,
            {"objective": "autoencoder", "size": 33},
            "size=33, autoencoder.channels=.*multiple of 4",
        ),
        (
            TrainConfig,
            {"objective": "selfsupervised", "data": DataConfig(buckets=3), "selfsupervised": TURNED},
            "selfsupervised.method='rotation', data.buckets=3: .*leave buckets out",
        ),
        (
            TrainConfig,
            {"objective": "selfsupervised", "size": 30, "selfsupervised": PATCHES},
            "size=30, selfsupervised.vit.patch=4: make 30 a multiple of 4",
        ),
        (
            TrainConfig,
            {"objective": "selfsupervised", "size": 4, "selfsupervised": HIDDEN},
            "size=4, selfsupervised.vit.patch=4: a picture has one patch",
        ),
        (TrainConfig, {"objective": "selfsupervised", "batch": 1}, "batch=1, objective='selfsupervised'"),
    ],
)
def test_what_cannot_be_together_is_refused(kind: type[Config], values: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        kind(**values)


def test_a_change_is_checked_as_a_new_config_is():
    with pytest.raises(ConfigError, match=r"caption_dropout=3 must be at most 1; leave it out for 0.1"):
        replace(TrainConfig(), caption_dropout=3)


def test_all_mistakes_come_at_once():
    with pytest.raises(ConfigError) as caught:
        TrainConfig(images=0, caption_dropout=-1, network="gan")  # pyright: ignore[reportArgumentType]
    assert [key for mistake in caught.value.mistakes for key in mistake.values] == [
        "images",
        "caption_dropout",
        "network",
    ]


def test_what_another_objective_does_without_is_not_asked_for():
    TrainConfig(objective="text", size=40, pretrain=PretrainConfig(contrastive=0, masked=1))
    TrainConfig(objective="selfsupervised", size=33)
    TextConfig(kind="cnn", width=7, heads=3)
    TextConfig(start="models/words@1", width=7, heads=3)  # which has a shape of its own


def test_noise_that_can_be_learned_is_not_refused():
    NoiseConfig(schedule="linear", prediction="epsilon", loss="velocity")
    NoiseConfig(schedule="scaled_linear", zero_terminal_snr=True, prediction="v", loss="min_snr", gamma=1.0)
    NoiseConfig(prediction="epsilon", loss="learned", offset=0.1, huber=0.1)
    NoiseConfig(mean=0.0, deviation=1.0)
    NoiseConfig(times="edm", mean=-0.4, deviation=1.0, schedule="cosine")


def test_latents_are_cut_by_the_autoencoder_first():
    config = TrainConfig(size=32)
    assert not list(denoiser_conflicts(config, 4))
    (mistake,) = denoiser_conflicts(config, 8)
    assert mistake.text("train.").startswith("train.size=32, train.unet.patch=2")
    assert "multiple of 64" in mistake.text()
