import dataclasses
from pathlib import Path

import pytest

from sdmodel.config.train import TrainConfig
from sdmodel.train.process import command

SMALL = TrainConfig(batch=16, device="cpu")
JOB = Path("job.json")


def test_processes_divide_the_batch():
    assert command.process_count(dataclasses.replace(SMALL, processes=4)) == 4
    assert command.process_count(dataclasses.replace(SMALL, processes=0, batch=7)) == 1


def test_one_process_needs_nobody_to_start_it():
    assert command.command(JOB, 1)[1:] == ["-m", "sdmodel.train.run", "job.json"]


@pytest.mark.parametrize("gpus", [0, 4])
def test_several_are_ours_to_start(gpus: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "gpus", lambda config: gpus)
    line = command.command(Path("place/job.json"), 4)
    assert line[1:4] == ["-m", "sdmodel.train.process.ranks", "4"]
    assert line[4:] == ["place", "sdmodel.train.run", "place/job.json"]


def test_a_gpu_takes_one_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "gpus", lambda config: 2)
    assert command.process_count(dataclasses.replace(SMALL, processes=2)) == 2
    with pytest.raises(ValueError, match=r"processes=4, and this machine has 2 GPUs"):
        command.process_count(dataclasses.replace(SMALL, processes=4))


def test_processes_talk_over_the_loopback_whatever_started_us(monkeypatch: pytest.MonkeyPatch):
    foreign = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "OMPI_COMM_WORLD_SIZE": "2"}
    foreign |= {"ACCELERATE_USE_FSDP": "true", "GLOO_SOCKET_IFNAME": "eth0", "NCCL_COMM_ID": "10.0.0.1:5"}
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command.sys, "platform", "linux")
    given = command.environment(SMALL, 2)
    assert foreign.keys() & given.keys() == {"GLOO_SOCKET_IFNAME"}
    assert (given["GLOO_SOCKET_IFNAME"], given["NCCL_SOCKET_IFNAME"]) == ("lo", "=lo")


def test_what_torch_compiles_lies_where_no_other_user_can_have_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Left alone it takes a folder in /tmp that anybody can make first, and reads pickles from it."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert command.environment(SMALL, 1)["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "torchinductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    assert command.environment(SMALL, 1)["TORCHINDUCTOR_CACHE_DIR"] == "/elsewhere"


def test_cores_are_shared_out_unless_the_config_says_how_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "cores", lambda: 8)
    assert command.environment(SMALL, 2)["OMP_NUM_THREADS"] == "4"
    assert command.environment(dataclasses.replace(SMALL, threads=1), 2)["OMP_NUM_THREADS"] == "1"
