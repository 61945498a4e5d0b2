import dataclasses
import errno

import pytest
import torch

from sdmodel.config.text import PretrainConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.process import failure
from sdmodel.train.process.command import process_count

CONFIG = TrainConfig(batch=16)


def crossed(error: Exception, config: TrainConfig = CONFIG) -> Exception:
    """The error as the launching process raises it."""
    message = failure.message_of(error, config)
    assert message
    return failure.exception_of(message)


def test_a_mistake_that_we_name_stays_a_mistake():
    with pytest.raises(ValueError, match="must divide") as ours:
        process_count(dataclasses.replace(CONFIG, processes=3))
    error = crossed(ours.value)
    assert isinstance(error, ValueError)
    assert str(error) == str(ours.value)


def test_what_others_raise_is_left_to_its_traceback():
    with pytest.raises(ValueError, match="invalid literal") as foreign:
        int("x")
    assert failure.message_of(foreign.value, CONFIG) is None
    assert failure.message_of(KeyError("x"), CONFIG) is None


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB\nmore"), MemoryError()]
)
def test_memory_is_reported_with_its_remedies(error: Exception):
    words = str(crossed(error, dataclasses.replace(CONFIG, accumulate=2)))
    assert "train.accumulate=4" in words
    assert "train.activation_checkpointing=true" in words
    assert "now 16" in words
    assert "more" not in words
    assert "activation_checkpointing" not in str(
        crossed(error, dataclasses.replace(CONFIG, activation_checkpointing=True))
    )
    for objective in ("contrastive", "text", "selfsupervised"):
        assert "accumulate" not in str(crossed(error, dataclasses.replace(CONFIG, objective=objective)))
    alone = dataclasses.replace(CONFIG, objective="text", pretrain=PretrainConfig(contrastive=0, masked=1))
    assert "train.accumulate=2" in str(crossed(error, alone))


def test_too_much_for_the_machine_is_out_of_memory():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    assert "out of memory" in str(crossed(error.value))


def test_a_full_disk_is_reported_as_one():
    error = crossed(OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    assert "checkpoints before stay" in str(error)
    assert isinstance(crossed(OSError("x cannot be written: I/O error: ... (os error 28)")), OSError)
    assert failure.message_of(FileNotFoundError("x"), CONFIG) is None


def test_a_bad_gradient_is_reported():
    assert str(crossed(FloatingPointError("the gradient is not finite"))) == "the gradient is not finite"
