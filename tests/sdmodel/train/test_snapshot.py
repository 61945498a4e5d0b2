import json
from pathlib import Path

import pytest
import torch
from torch import nn

from sdmodel.config import EmaConfig, OptimizerConfig
from sdmodel.train import snapshot
from sdmodel.train.ema import Ema
from sdmodel.train.muon import optimizers


def trained(seed: int = 0, channels: int = 4) -> tuple[nn.Module, Ema, list[torch.optim.Optimizer]]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels)).to(
        memory_format=torch.channels_last
    )
    ema, opts = Ema(model, EmaConfig(), 2), optimizers(model, OptimizerConfig())
    for batch in range(1, 4):
        model(torch.randn(2, 3, 8, 8)).square().sum().backward()
        for opt in opts:
            opt.step()
            opt.zero_grad()
        ema.update(batch)
    return model, ema, opts


def write(root: Path, images: int, seed: int = 0) -> Path:
    return snapshot.write(root, images, '{"images": 1}\n', *trained(seed))


def test_what_is_restored_goes_on_alike(tmp_path: Path):
    parts = trained()
    snapshot.write(tmp_path, 64, "text", *parts)
    found = snapshot.newest(tmp_path, pytest.fail)
    assert found
    assert (found.images, found.metrics) == (64, "text")
    others = trained(seed=1)
    snapshot.restore(found, *others)
    for model, ema, opts in (parts, others):
        torch.manual_seed(5)
        model(torch.randn(2, 3, 8, 8)).square().sum().backward()
        for opt in opts:
            opt.step()
        ema.update(4)
    for one, other in zip(parts[0].state_dict().values(), others[0].state_dict().values(), strict=True):
        assert torch.equal(one, other)
    for name, value in parts[1].weights().items():
        assert torch.equal(value, others[1].weights()[name])


def test_two_are_kept_and_all_files_are_plain(tmp_path: Path):
    for images in (9, 10, 1_000_000_000):
        write(tmp_path, images)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000010", "1000000000"]
    assert sorted(path.name for path in (tmp_path / "000000010").iterdir()) == [
        "ema.safetensors",
        "metrics.jsonl",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]


@pytest.mark.parametrize("name", snapshot.FILES)
def test_a_damaged_snapshot_is_named_and_passed_over(tmp_path: Path, name: str):
    write(tmp_path, 1)
    path = write(tmp_path, 2) / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    warnings: list[str] = []
    found = snapshot.newest(tmp_path, warnings.append)
    assert found
    assert found.images == 1
    assert len(warnings) == 1
    assert str(path) in warnings[0]


@pytest.mark.parametrize("name", [*snapshot.FILES, "state.json"])
def test_an_incomplete_snapshot_is_named_and_passed_over(tmp_path: Path, name: str):
    (write(tmp_path, 2) / name).unlink()
    warnings: list[str] = []
    assert snapshot.newest(tmp_path, warnings.append) is None
    assert "000000002" in warnings[0]


def test_a_half_written_state_is_passed_over(tmp_path: Path):
    state = write(tmp_path, 2) / "state.json"
    state.write_text(state.read_text()[:20])
    assert snapshot.newest(tmp_path, lambda text: None) is None


def test_what_a_crash_left_aside_is_no_snapshot(tmp_path: Path):
    (tmp_path / ".000000002").mkdir()
    (tmp_path / ".000000002" / "state.json").write_text(json.dumps({}))
    assert snapshot.newest(tmp_path, pytest.fail) is None
    write(tmp_path, 2)
    assert snapshot.newest(tmp_path, pytest.fail)


def test_another_model_s_snapshot_is_refused(tmp_path: Path):
    write(tmp_path, 1)
    found = snapshot.newest(tmp_path, pytest.fail)
    assert found
    with pytest.raises(ValueError, match="another model"):
        snapshot.restore(found, *trained(channels=6))
