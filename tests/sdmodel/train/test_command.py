import dataclasses
from pathlib import Path

import pytest

from sdmodel.config import TrainConfig
from sdmodel.train import command

SMALL = TrainConfig(batch=16, device="cpu")
PLAN = Path("plan.json")


def test_processes_divide_the_batch():
    assert command.process_count(dataclasses.replace(SMALL, processes=4)) == 4
    assert command.process_count(dataclasses.replace(SMALL, processes=0, batch=7)) == 1
    with pytest.raises(ValueError, match=r"processes=3 must divide train\.batch=16"):
        command.process_count(dataclasses.replace(SMALL, processes=3))


def test_one_process_needs_no_launcher():
    assert command.command(PLAN, SMALL, 1)[1:] == ["-m", "sdmodel.train.run", "plan.json"]


def test_processes_on_a_cpu_are_torchs_to_start():
    line = command.command(PLAN, SMALL, 3)
    assert line[2] == "torch.distributed.run"
    assert line[line.index("--nproc-per-node") + 1] == "3"
    assert "--max-restarts" not in line  # users' mistakes would be tried again


def test_gpus_are_accelerates_to_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "gpus", lambda config: 4)
    line = command.command(PLAN, dataclasses.replace(SMALL, device="cuda"), 4)
    assert line[2] == "accelerate.commands.launch"
    assert line[line.index("--num_processes") + 1] == "4"
    assert line[-3:] == ["-m", "sdmodel.train.run", "plan.json"]


def test_accelerates_config_file_says_it_all(tmp_path: Path):
    file = tmp_path / "machines.yaml"
    config = dataclasses.replace(SMALL, accelerate=str(file))
    with pytest.raises(ValueError, match=r"machines\.yaml is no file; write one with `accelerate config"):
        command.command(PLAN, config, 2)
    file.write_text("num_machines: 2\n")
    line = command.command(PLAN, config, 2)
    assert line[3:] == ["--config_file", str(file), "-m", "sdmodel.train.run", "plan.json"]
    alone, several = command.environment(SMALL, 2), command.environment(config, 2)
    assert ("GLOO_SOCKET_IFNAME" in alone, "GLOO_SOCKET_IFNAME" in several) == (True, False)


def test_cores_are_shared_out_unless_the_config_says_how_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "cores", lambda: 8)
    assert command.environment(SMALL, 2)["OMP_NUM_THREADS"] == "4"
    assert command.environment(dataclasses.replace(SMALL, threads=1), 2)["OMP_NUM_THREADS"] == "1"
