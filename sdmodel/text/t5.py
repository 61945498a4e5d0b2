"""T5's encoder (Raffel et al. 2019, arXiv:1910.10683) as a text encoder."""

from typing import Any

from torch import Tensor
from transformers import T5Config, T5EncoderModel

from sdmodel.config.text import TextConfig
from sdmodel.text.encoder import mean_of
from sdmodel.text.pretrained import Pretrained
from sdmodel.text.tokenizer import END_ID, PAD_ID


class T5(Pretrained):
    """Pooled is the mean over the tokens. Its places are distances, so that any length can be read."""

    kinds = frozenset({"t5"})
    stock = T5EncoderModel
    dropouts = ("dropout_rate",)

    @classmethod
    def described(cls, config: TextConfig, vocabulary: int, dropouts: dict[str, float]) -> Any:
        """See `Pretrained.described`."""
        return T5Config(
            vocab_size=vocabulary,
            d_model=config.width,
            d_kv=config.width // config.heads,
            d_ff=4 * config.width,
            num_layers=config.layers,
            num_heads=config.heads,
            pad_token_id=PAD_ID,
            eos_token_id=END_ID,
            **dropouts,  # pyright: ignore[reportArgumentType]  # names of its own fields
        )

    @classmethod
    def slim(cls, model: Any) -> Any:
        """Without the second name of the embedding: each weight is held, averaged and saved once."""
        del model.encoder.embed_tokens
        return model

    def last(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See `Pretrained.last`."""
        words = self.embedding(ids)
        return self.model.encoder(inputs_embeds=words, attention_mask=mask).last_hidden_state

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `Encoder.forward`."""
        states = self.states(ids, mask)
        return states, mean_of(states, mask)


ENCODER = T5
