"""T5's encoder (Raffel et al. 2019, arXiv:1910.10683) as a text encoder."""

from typing import Any

from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel
from transformers.models.t5.modeling_t5 import T5Attention

from sdmodel.config.text import TextConfig
from sdmodel.text.encoder import mean_pool
from sdmodel.text.pretrained import Pretrained
from sdmodel.text.tokenizer import END_ID, PAD_ID


class T5(Pretrained):
    """Pooled is the mean over the tokens. Its places are distances, so that any length can be read."""

    model_types = frozenset({"t5"})
    model_class = T5EncoderModel
    dropout_names = ("dropout_rate",)

    @classmethod
    def model_config(cls, config: TextConfig, vocabulary: int, dropouts: dict[str, float]) -> Any:
        """See `Pretrained.model_config`."""
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
    def prune(cls, model: Any) -> Any:
        """Without the second name of the embedding: each weight is stored, averaged and saved once. Without
        dropout of attention, which draws by itself, and of the whole stack: one module at both of its ends
        would leave out the same."""
        del model.encoder.embed_tokens
        model.encoder.dropout = nn.Identity()
        for module in model.modules():
            if isinstance(module, T5Attention):
                module.dropout = 0.0
        return model

    def last_hidden_state(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See `Pretrained.last_hidden_state`."""
        words = self.embedding(ids)
        return self.model.encoder(inputs_embeds=words, attention_mask=mask).last_hidden_state

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextEncoder.forward`."""
        states = self.states(ids, mask)
        return states, mean_pool(states, mask)


ENCODER = T5
