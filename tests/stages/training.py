"""Trainings in the test's own process, without the seconds that it takes others to begin."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdmodel.train import run
from sdmodel.train.job import JobSpec


def in_this_process(
    job_path: Path,
    *,
    on_progress: Callable[[Any], None],
    on_warning: Callable[[str], None],
    on_checkpoint: Callable[[int, Path], None],
    stopping: Callable[[], bool],
) -> bool:
    """Trains as the launcher does; to be put in the place of `sdmodel.train.process.launch.train`."""

    def send(message: dict[str, Any]) -> None:
        if "checkpoint" in message:
            on_checkpoint(message["images"], Path(message["checkpoint"]))
        elif "warning" in message:
            on_warning(message["warning"])
        else:
            on_progress(message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "send", send)
        return run.run(JobSpec.read(job_path))
