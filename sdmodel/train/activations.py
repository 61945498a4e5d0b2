"""What a forward pass keeps for its gradient: the activations, which are most of a training's memory.

They are counted where autograd keeps them: of a training that begins, on its own device; of one that is only
planned on torch's meta device, tensors with shapes and dtypes but no numbers, so that a model of any size is
counted on any machine.
"""

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

HALF = {F.linear, F.conv1d, F.conv2d, torch.matmul, torch.bmm, torch.addmm, torch.baddbmm, Tensor.matmul}
"""What CUDA's autocast does in bfloat16."""
WHOLE = {F.layer_norm, F.group_norm}
"""What it does in float32."""


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Bytes that a forward pass keeps for its gradient, weights aside."""

    constant: int
    """Whatever the batch: copies of the weights in bfloat16."""
    row: int
    """For each row that is taken at once."""

    def each(self, rows: int) -> "Activations":
        """Of one of so many rows that were counted together."""
        return Activations(constant=self.constant, row=math.ceil(self.row / rows))


@dataclass(frozen=True, kw_only=True)
class PassCount:
    """A forward pass of one row and its gradient, counted; of several, all of them together."""

    flops: int
    """Floating-point operations of both: matrix products, convolutions and attention."""
    kernels: int
    """Operations that a GPU is told to start, however many rows there are; views are none."""
    saved: Activations
    checkpointed: Activations
    """The same where heavy parts forget theirs and compute them anew (activation checkpointing; Chen et al.
    2016, arXiv:1604.06174): what is outside of them, what goes into them, and the largest one's own."""


def count_pass(
    forward: Callable[[], Tensor], modules: nn.Module, heavy: Sequence[nn.Module] = (), *, bf16: bool = False
) -> PassCount:
    """Counts one forward pass and its gradient.

    Args:
        forward: the loss of one row, a scalar; its gradient is taken of all parameters that learn.
        modules: what it is computed with, on the meta device, or on any other if `forward` takes few rows.
        heavy: parts of `modules` that may be checkpointed.
        bf16: mixed precision as CUDA has it, where no CUDA is; else autocast says what is.
    """
    storages = _Storages(modules)
    learned = [p for p in modules.parameters() if p.requires_grad]
    with FlopCounterMode(display=False) as counter, _Kernels(storages) as kernels:
        with ExitStack() as stack:
            stack.enter_context(storages.watched(heavy))
            stack.enter_context(_CudaNumerics(storages, bf16=bf16))
            loss = forward()
        torch.autograd.grad(loss, learned, allow_unused=True)
    return PassCount(
        flops=counter.get_total_flops(),
        kernels=kernels.count,
        saved=storages.saved(),
        checkpointed=storages.checkpointed(),
    )


class _Storages:
    """Storages that autograd keeps, each once, by the heavy part that it was kept in; -1 is outside."""

    def __init__(self, modules: nn.Module) -> None:
        self.weights = {_key(weight) for weight in (*modules.parameters(), *modules.buffers())}
        self.copies: set[int] = set()
        self.bytes: dict[int, int] = {}
        self.place: dict[int, int] = {}
        self.inputs: set[int] = set()
        self.part = -1
        # Whatever is counted lives until the end: the address of what is freed would be given to another.
        self.alive: list[Tensor] = []

    def saved(self) -> Activations:
        """All."""
        return self._split(set(self.place))

    def checkpointed(self) -> Activations:
        """Those outside of heavy parts, what goes into them, and those of the largest part."""
        outside = self.inputs | {key for key, part in self.place.items() if part < 0}
        parts = [
            self._split({key for key, part in self.place.items() if part == number} - outside)
            for number in {*self.place.values()} - {-1}
        ]
        rest = self._split(outside)
        return Activations(
            constant=rest.constant + max((part.constant for part in parts), default=0),
            row=rest.row + max((part.row for part in parts), default=0),
        )

    def _split(self, keys: set[int]) -> Activations:
        copies = sum(self.bytes[key] for key in keys & self.copies)
        return Activations(constant=copies, row=sum(self.bytes[key] for key in keys) - copies)

    @contextmanager
    def watched(self, heavy: Sequence[nn.Module]) -> Generator[None]:
        """Inside, what autograd keeps is noted."""

        def enter(number: int) -> Callable[..., None]:
            def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
                tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
                self.inputs |= {self.note(tensor) for tensor in tensors}
                self.part = number

            return hook

        def leave(*_: Any) -> None:
            self.part = -1

        hooks = [
            handle
            for number, module in enumerate(heavy)
            for handle in (
                module.register_forward_pre_hook(enter(number), with_kwargs=True),
                module.register_forward_hook(leave),
            )
        ]
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor):
                yield
        finally:
            for handle in hooks:
                handle.remove()
            self.inputs -= self.weights

    def note(self, tensor: Tensor) -> int:
        """A tensor's storage is counted, wherever it is kept."""
        key = _key(tensor)
        if key not in self.bytes:
            self.bytes[key] = tensor.untyped_storage().nbytes()
            self.alive.append(tensor.detach())
        return key

    def _pack(self, tensor: Tensor) -> Tensor:
        if _key(tensor) not in self.weights:
            self.place.setdefault(self.note(tensor), self.part)
        return tensor


class _Kernels(TorchDispatchMode):
    """Counts operations that make something, and knows autocast's copies of weights."""

    def __init__(self, storages: _Storages) -> None:
        super().__init__()
        self.storages = storages
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and _key(args[0]) in self.storages.weights:
            self.storages.copies.add(self.storages.note(result))
        return result


class _CudaNumerics(TorchFunctionMode):
    """Dtypes and attention as CUDA has them: autocast to bfloat16 (of each weight that learns once), float32
    for normalisations, and attention that keeps no matrix of its weights (Dao et al. 2022,
    arXiv:2205.14135)."""

    def __init__(self, storages: _Storages, *, bf16: bool) -> None:
        super().__init__()
        self.storages, self.bf16 = storages, bf16
        self.copies: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and args[0].is_meta:
            return self._attention(*args, **kwargs)
        if self.bf16 and func in HALF:
            args, kwargs = tree_map(self._half, args), tree_map(self._half, kwargs)
        elif self.bf16 and func in WHOLE:
            args = (args[0].float(), *args[1:])
        return func(*args, **kwargs)

    def _half(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or leaf.dtype is not torch.float32:
            return leaf
        key = _key(leaf)
        if key in self.copies:
            return self.copies[key]
        half = leaf.to(torch.bfloat16)
        if key in self.storages.weights:
            self.storages.copies.add(self.storages.note(half))
            if leaf.requires_grad and leaf.is_leaf:
                self.copies[key] = half
        return half

    def _attention(
        self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        if self.bf16:
            q, k, v = (self._half(each) for each in (q, k, v))
        shape = (*q.shape[:-1], k.shape[-2])
        bias = None if attn_mask is None else torch.zeros((), dtype=q.dtype, device=q.device).expand(shape)
        return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, bias, True)[0]


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage] - what tells storages apart
