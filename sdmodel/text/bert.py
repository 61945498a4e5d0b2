"""BERT (Devlin et al. 2018, arXiv:1810.04805) as a text encoder."""

from typing import Any

from torch import Tensor
from transformers import BertConfig, BertModel

from sdmodel.config_text import TextConfig
from sdmodel.text.pretrained import Pretrained
from sdmodel.text.tokenizer import END_ID, PAD_ID, START_ID


class Bert(Pretrained):
    """Pooled is the first token's state, without the layer that BERT's next-sentence task puts on it."""

    kinds = frozenset({"bert"})
    stock = BertModel
    options = {"add_pooling_layer": False}  # noqa: RUF012  # declared a class variable by the base
    dropouts = ("hidden_dropout_prob", "attention_probs_dropout_prob")

    @classmethod
    def described(cls, config: TextConfig, vocabulary: int, dropouts: dict[str, float]) -> Any:
        """See `Pretrained.described`."""
        return BertConfig(
            vocab_size=vocabulary,
            hidden_size=config.width,
            intermediate_size=4 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.length,
            pad_token_id=PAD_ID,
            bos_token_id=START_ID,
            eos_token_id=END_ID,
            **dropouts,  # pyright: ignore[reportArgumentType]  # names of its own fields
        )

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `Encoder.forward`."""
        states = self.states(ids, mask)
        return states, states[:, 0]


ENCODER = Bert
