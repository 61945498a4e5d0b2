"""Weights that are shared out between two processes learn what whole ones do."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from sdmodel.train.fsdp import check, place
from sdmodel.train.job import JOB, JobSpec
from sdmodel.train.process.command import environment, ranks
from tests.sdmodel.train.fsdp_runs import CASES, CONFIG, LIVED
from tests.sdmodel.train.toy import ToyObjective, tree

QUICK, OTHERS = ("toy",), tuple(case for case in CASES if case != "toy")
"""Cases of `make test`, and those of the matrix besides, with the networks that people train."""
EACH_CASE = [*QUICK, *(pytest.param(case, marks=pytest.mark.matrix) for case in OTHERS)]
Shared = Callable[[str], Path]
"""(case) -> FOLDER with LIFE, see fsdp_runs.py."""


@pytest.fixture(scope="module")
def shared(dataset, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The lives of a case, lived once with those that run with it, when a test first asks."""
    root = tmp_path_factory.mktemp("shared")
    tars = {name: str(tar) for name, tar in dataset.tars.items()}
    job = JobSpec(folder=root, index=dataset.index, tars=tars, config=CONFIG).write(root / JOB)

    @cache
    def live(cases: tuple[str, ...]) -> Path:
        folder = root / cases[0]
        folder.mkdir()
        done = subprocess.run(
            ranks(2, folder, "tests.sdmodel.train.fsdp_runs", str(job), str(folder), *cases),
            env=environment(CONFIG, 2),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return folder

    return lambda case: live(QUICK if case in QUICK else OTHERS) / case


@pytest.mark.slow
@pytest.mark.parametrize("case", EACH_CASE)
def test_killed_and_resumed_is_undisturbed_to_the_bit(shared: Shared, case: str):
    whole, killed = tree(shared(case) / "shared"), tree(shared(case) / "killed")
    assert "checkpoints/000000032/averages.safetensors" in whole
    assert {name for name in whole if whole[name] != killed.get(name)} == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "life"),
    [
        pytest.param(case, life, marks=() if case in QUICK else pytest.mark.matrix)
        for case, lives in LIVED.items()
        for life in lives
        if life not in ("whole", "killed")
    ],
)
def test_shares_learn_what_whole_weights_do(shared: Shared, case: str, life: str):
    """Resumed with weights shared out, or no longer, too: checkpoints are the same files."""
    one, other = shared(case) / "whole", shared(case) / life
    rows, others = ((folder / "metrics.jsonl").read_text().splitlines() for folder in (one, other))
    assert len(rows) == 4
    for row, same in zip(rows, others, strict=True):
        assert json.loads(same) == pytest.approx(json.loads(row), rel=1e-5, abs=1e-6)
    for name in tree(one):
        if name.endswith(".safetensors"):
            tensors, found = load_file(one / name), load_file(other / name)
            assert list(found) == list(tensors)
            for key, tensor in tensors.items():
                torch.testing.assert_close(found[key], tensor, rtol=1e-4, atol=1e-6, msg=f"{name} {key}")
        elif name.endswith(".png"):
            assert (other / name).exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", EACH_CASE)
def test_shares_are_sent_without_pickles(shared: Shared, case: str):
    reports = [json.loads((shared(case).parent / f"{rank}.json").read_text()) for rank in range(2)]
    assert reports == [{"listening": ["127.0.0.1"], "unpickled": []}] * 2


def accelerator(kind: DistributedType = DistributedType.MULTI_CPU, processes: int = 2) -> Any:
    return SimpleNamespace(distributed_type=kind, num_processes=processes, device=torch.device("cpu"))


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_a_training_is_not_handed_over(kind: DistributedType):
    with pytest.raises(ValueError, match=r"set train\.fsdp=true"):
        check(accelerator(kind))


def test_a_single_number_has_no_parts():
    with pytest.raises(ValueError, match="scale of the diffusion objective is a single number"):
        place(ToyObjective(), replace(CONFIG, fsdp=True), accelerator())


def test_one_process_has_it_all():
    objective = ToyObjective()
    modules = place(objective, replace(CONFIG, fsdp=True), accelerator(processes=1))
    assert all(type(p) is torch.nn.Parameter for p in modules.parameters())
