from dataclasses import replace

import pytest
import torch

from sdmodel.config import TrainConfig
from sdmodel.train.run import accelerator_of

CONFIG = TrainConfig()


def test_an_unknown_device_is_named():
    with pytest.raises(ValueError, match='device=\'tpu\': "cpu", "cuda" or "auto" are known'):
        accelerator_of(replace(CONFIG, device="tpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no CUDA device is found"):
        accelerator_of(replace(CONFIG, device="cuda"))


def test_precision_is_fp32_on_the_cpu():
    assert accelerator_of(replace(CONFIG, device="cpu")).mixed_precision == "no"
