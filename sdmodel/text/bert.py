"""BERT (Devlin et al. 2018, arXiv:1810.04805) as a text encoder."""

from torch import Tensor
from transformers import BertModel

from sdmodel.text.pretrained import Pretrained


class Bert(Pretrained):
    """Pooled is the first token's state ([CLS]), without the layer that BERT's next-sentence task puts on
    it."""

    model_types = frozenset({"bert"})
    model_class = BertModel
    model_options = {"add_pooling_layer": False}  # noqa: RUF012  # declared a class variable by the base
    dropout_names = ("hidden_dropout_prob",)
    attention_dropout_names = ("attention_probs_dropout_prob",)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextEncoder.forward`."""
        states = self.states(ids, mask)
        return states, states[:, 0]


ENCODER = Bert
