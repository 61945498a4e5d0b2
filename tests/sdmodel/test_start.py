"""Pipelines' folders are read, or refused before anything is done."""

import json
from pathlib import Path
from typing import Any

import pytest

from sdmodel.start import read_pipeline
from tests import frozen


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beta_schedule": "exponential"}, "its scheduler describes no schedule"),
        ({"trained_betas": [0.1, 0.2]}, "'1000' timesteps and 2 variances"),
        ({"beta_start": 0.0, "beta_end": 0.0}, "noise that grows"),
    ],
)
def test_a_schedule_that_nothing_could_be_drawn_by_is_refused(
    settings: dict[str, Any], words: str, tmp_path: Path
):
    folder = frozen.unconditional(tmp_path)
    file = folder / "scheduler/scheduler_config.json"
    taught = json.loads(file.read_text())
    assert read_pipeline(folder).schedule == taught
    file.write_text(json.dumps(taught | settings))
    with pytest.raises(ValueError, match=words):
        read_pipeline(folder)
