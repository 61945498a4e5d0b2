"""The first losses of each objective and denoiser, written down: a change that is not to change what is
learned does not.

One that is to change it records them anew, and says why:

    RECORD_GOLDEN=1 .venv/bin/python -m pytest tests/sdmodel/golden

Equal software on an equal processor gives equal bits; elsewhere sums are added in another order, and ten
steps later losses agree to TOLERANCE.
"""

import json
import os
from pathlib import Path
from typing import Any

import accelerate
import diffusers
import pytest
import timm
import torch

from sdmodel.train.run import run
from tests.sdmodel.golden.tiny import CURVES, config_of, encoders, job

TOLERANCE = 1e-3
"""Relative. With AVX2 alone and with AVX-512 the worst loss differs by 3e-5, the contrastive one's."""


def platform() -> dict[str, str]:
    """What decides in which order sums are added."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": models[0] if models else "",
        **{module.__name__: module.__version__ for module in (accelerate, diffusers, timm)},
    }


@pytest.mark.parametrize("curve", CURVES)
def test_losses_are_those_written_down(curve: str, dataset: Any, image_encoder: Path, tmp_path: Path):
    config = config_of(curve)
    run(job(tmp_path / "training", dataset, config, **encoders(image_encoder, config)))
    rows = map(json.loads, (tmp_path / "training/metrics.jsonl").read_text().splitlines())
    losses = [row["loss"] for row in rows]
    assert len(losses) == 10
    file = Path(__file__).parent / f"{curve}.json"
    if os.environ.get("RECORD_GOLDEN"):
        held = {"platform": platform(), "losses": [loss.hex() for loss in losses]}
        file.write_text(json.dumps(held, indent=1) + "\n")
    golden = json.loads(file.read_text())
    expected = [float.fromhex(loss) for loss in golden["losses"]]
    if platform() == golden["platform"]:
        assert losses == expected
    else:
        assert losses == pytest.approx(expected, rel=TOLERANCE)
