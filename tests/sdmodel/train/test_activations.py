"""What is counted of a forward pass against closed forms, and against what a real one keeps."""

import torch
from torch import nn
from torch.nn import functional as F

from sdmodel.train.activations import Activations, count_pass

ROWS, WIDTH = 3, 8
FLOAT, HALF = 4, 2


class Stack(nn.Module):
    """Layers of one width with ReLU between."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()) for _ in range(layers))

    def loss(self) -> torch.Tensor:
        x = torch.ones(ROWS, WIDTH, device=next(self.parameters()).device)
        for layer in self.layers:
            x = layer(x)
        return x.sum()


def stack(layers: int) -> Stack:
    with torch.device("meta"):
        return Stack(layers)


def test_a_linear_layer_keeps_its_input_and_a_relu_its_output():
    model = stack(3)
    count = count_pass(model.loss, model)
    assert count.saved == Activations(constant=0, row=4 * ROWS * WIDTH * FLOAT)
    # Forward, and the gradients of the weights and of all inputs but the first, which learns nothing.
    assert count.flops == (3 + 3 + 2) * 2 * ROWS * WIDTH**2


def test_in_mixed_precision_arrays_are_halved_and_weights_are_kept_twice():
    model = stack(3)
    count = count_pass(model.loss, model, bf16=True)
    # The first layer's input learns nothing, which takes no copy of its weights.
    assert count.saved == Activations(constant=2 * WIDTH**2 * HALF, row=4 * ROWS * WIDTH * HALF)


def test_checkpointed_parts_keep_what_goes_into_them_and_the_largest_keeps_all():
    model = stack(3)
    count = count_pass(model.loss, model, list(model.layers))
    array = ROWS * WIDTH * FLOAT
    # Inputs of three parts; the largest's own besides its input is what its ReLU gives, another part's input,
    # but for the last one's.
    assert count.checkpointed == Activations(constant=0, row=3 * array + array)


def test_attention_keeps_no_matrix_of_its_weights():
    length, width = 64, 8
    with torch.device("meta"):
        layer = nn.Linear(width, 3 * width)

    def loss() -> torch.Tensor:
        x = torch.ones(1, 1, length, width, device="meta")
        q, k, v = layer(x).chunk(3, -1)
        return F.scaled_dot_product_attention(q, k, v).sum()

    # The layer's input, its output that queries, keys and values are parts of, the result; little else.
    saved = count_pass(loss, layer).saved.row
    arrays = (1 + 3 + 1) * length * width * FLOAT
    assert arrays <= saved <= arrays + 2 * length * FLOAT
    assert saved < length**2 * FLOAT


def test_on_the_cpu_the_same_is_counted():
    torch.manual_seed(0)
    real, shapes = Stack(2), stack(2)
    assert count_pass(real.loss, real) == count_pass(shapes.loss, shapes)


def test_what_autocast_copies_is_known_apart_from_what_rows_keep():
    """A real pass in bfloat16 keeps what one of shapes alone is said to."""
    torch.manual_seed(0)
    real, shapes = Stack(3), stack(3)
    with torch.autocast("cpu", torch.bfloat16):
        measured = count_pass(real.loss, real)
    planned = count_pass(shapes.loss, shapes, bf16=True)
    assert measured.saved.constant == planned.saved.constant == 2 * WIDTH**2 * HALF
    assert measured.saved.row == planned.saved.row


def test_rows_that_are_counted_together_are_told_apart():
    assert Activations(constant=7, row=10).each(4) == Activations(constant=7, row=3)
