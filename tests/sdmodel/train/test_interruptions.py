"""Every objective, by one process and by two: killed and resumed it is what it would have been.

Those by two are a matrix; `test_launch` has one of them for `make test`.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sdmodel.train.job import JOB, JobSpec
from sdmodel.train.process.command import environment, ranks
from tests.sdmodel.golden import tiny
from tests.sdmodel.gradients import made
from tests.sdmodel.train.interruptions import CONFIG, HALF, TRAININGS, VARIANTS
from tests.sdmodel.train.toy import tree

ROWS_ALONE = ("diffusion", "autoencoder", "gan", "selfsupervised", *VARIANTS)
"""Objectives whose losses don't depend on how rows are shared; the others normalise over a process's rows."""


Interrupted = Callable[[int], Path]
"""(processes) -> FOLDER with OBJECTIVE/whole and /killed."""


@pytest.fixture(scope="module")
def interrupted(dataset, image_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """Every objective's trainings by so many processes; run once, when a test first asks."""
    root = tmp_path_factory.mktemp("interruptions")
    tars = {name: str(tar) for name, tar in dataset.tars.items()}
    job = JobSpec(
        folder=root,
        index=dataset.index,
        labels=dataset.index,
        encoder=image_encoder,
        tars=tars,
        config=CONFIG,
    )
    path = job.write(root / JOB)
    program = "tests.sdmodel.train.interruptions"

    @cache
    def run(processes: int) -> Path:
        arguments = (str(path), str(root / str(processes)))
        alone = [sys.executable, "-m", program, *arguments]
        line = alone if processes == 1 else ranks(processes, root, program, *arguments)
        done = subprocess.run(
            line,
            env=environment(CONFIG, 2),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return root / str(processes)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("objective", TRAININGS)
def test_killed_and_resumed_is_undisturbed_to_the_bit(
    interrupted: Interrupted, objective: str, processes: int
):
    folder = interrupted(processes) / objective
    whole, killed = tree(folder / "whole"), tree(folder / "killed")
    assert "checkpoints/000000096/averages.safetensors" in whole
    assert {name for name in whole if whole[name] != killed.get(name)} == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "processes"),
    [("text", 1), *(pytest.param(name, 2, marks=pytest.mark.matrix) for name in TRAININGS)],
)
def test_gone_on_with_by_another_training_is_undisturbed_to_the_bit(
    interrupted: Interrupted, objective: str, processes: int
):
    """Weights, averages, momenta, statistics and the best so far."""
    folder = interrupted(processes) / objective
    whole, continued = tree(folder / "whole"), tree(folder / "continued")
    last = [name for name in whole if name.startswith("checkpoints/000000096/") and name.endswith("tensors")]
    assert len(last) == (4 if objective == "gan" else 5)  # the best, where there is one
    assert {name for name in last if whole[name] != continued.get(name)} == set()
    rows = (folder / "continued/metrics.jsonl").read_text().splitlines()
    marks = [json.loads(row).pop("continued_at", 0) for row in rows]
    assert [mark for mark in marks if mark] == [HALF]


@pytest.mark.slow
@pytest.mark.matrix
@pytest.mark.parametrize("objective", ROWS_ALONE)
def test_two_processes_have_the_losses_of_one(interrupted: Interrupted, objective: str):
    one, two = (
        [
            json.loads(line)
            for line in (interrupted(processes) / objective / "whole/metrics.jsonl").read_text().splitlines()
        ]
        for processes in (1, 2)
    )
    assert len(one) == 12
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-6)  # r2 is a difference from 1


@pytest.mark.slow
@pytest.mark.matrix
@pytest.mark.parametrize("objective", TRAININGS)
def test_two_processes_have_one_gradient_that_of_the_whole_batch(
    interrupted: Interrupted, image_encoder: Path, objective: str
):
    """Calling sub-modules past DistributedDataParallel leaves each process with gradients of its own."""
    alone = load_file(interrupted(1) / objective / "gradients-0.safetensors")
    first, second = (
        load_file(interrupted(2) / objective / f"gradients-{rank}.safetensors") for rank in range(2)
    )
    learned = set(made(tiny.config_of(objective), image_encoder).modules.state_dict()) & set(alone)
    assert learned
    for name in learned | {"norm"}:
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], alone[name], rtol=1e-3, atol=1e-5, msg=name)
    for name in set(alone) - learned - {"norm"}:  # the losses
        torch.testing.assert_close((first[name] + second[name]) / 2, alone[name], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.matrix
def test_ranks_listen_on_the_loopback_alone_and_unpickle_nothing(interrupted: Interrupted):
    """Whatever somebody else on the machine sends them: the trainings above are undisturbed by it."""
    reports = [json.loads((interrupted(2) / f"{rank}.json").read_text()) for rank in range(2)]
    assert reports == [{"listening": ["127.0.0.1"], "unpickled": []}] * 2
    assert not (interrupted(2) / "intruded").exists()
