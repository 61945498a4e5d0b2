import errno
import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sdmodel.config.learning import OptimizerConfig
from sdmodel.train import checkpoint
from sdmodel.train.optim.optimizers import optimizers

FILES = ["averages.safetensors", "metrics.jsonl", "model.safetensors"]


def write(root: Path, images: int, **options) -> Path:
    tensors = {"model": {"w": torch.arange(6.0).view(2, 3).T}, "averages": {"w": torch.ones(2)}}
    return checkpoint.write(root, images, '{"images": 1}\n', tensors, {"steps": 3}, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read(tmp_path: Path):
    folder = write(tmp_path, 64)
    found = checkpoint.newest(tmp_path, pytest.fail)
    assert found
    assert (found.folder, found.images, found.metrics, found.facts) == (
        folder,
        64,
        '{"images": 1}\n',
        {"steps": 3},
    )
    assert torch.equal(found.tensors["model"]["w"], torch.arange(6.0).view(2, 3).T)
    assert torch.equal(found.tensors["averages"]["w"], torch.ones(2))
    assert names(folder) == [*FILES, "state.json"]  # and nothing that is unpickled


def test_the_newest_stay_and_those_for_good(tmp_path: Path):
    for images in (9, 10, 20, 25, 30, 1_000_000_001):
        write(tmp_path, images, keep=lambda images: images % 10 == 0)
    assert names(tmp_path) == ["000000010", "000000020", "000000025", "000000030", "1000000001"]


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_named_and_passed_over(tmp_path: Path, name: str):
    write(tmp_path, 1)
    path = write(tmp_path, 2) / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    warnings: list[str] = []
    found = checkpoint.newest(tmp_path, warnings.append)
    assert found
    assert found.images == 1
    assert len(warnings) == 1
    assert str(path) in warnings[0]


@pytest.mark.parametrize("name", [*FILES, "state.json"])
def test_an_incomplete_checkpoint_is_named_and_passed_over(tmp_path: Path, name: str):
    (write(tmp_path, 2) / name).unlink()
    warnings: list[str] = []
    assert checkpoint.newest(tmp_path, warnings.append) is None
    assert "000000002" in warnings[0]


@pytest.mark.parametrize(
    "text", ['{"images": 2, "sha', "[]", "{}", '{"images": 2, "sha256": [1], "facts": {}}']
)
def test_a_half_written_state_is_passed_over(tmp_path: Path, text: str):
    (write(tmp_path, 2) / "state.json").write_text(text)
    warnings: list[str] = []
    assert checkpoint.newest(tmp_path, warnings.append) is None
    assert len(warnings) == 1


def test_what_a_crash_left_aside_is_no_checkpoint(tmp_path: Path):
    (tmp_path / ".000000002").mkdir()
    (tmp_path / ".000000002" / "state.json").write_text(json.dumps({}))
    assert checkpoint.newest(tmp_path, pytest.fail) is None
    write(tmp_path, 2)
    assert checkpoint.newest(tmp_path, pytest.fail)


def test_a_full_disk_leaves_the_older_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, 1)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path, 2)
    assert names(tmp_path) == ["000000001"]
    found = checkpoint.newest(tmp_path, pytest.fail)
    assert found
    assert found.images == 1


def trained(kind: str, seed: int) -> tuple[nn.Module, list[torch.optim.Optimizer]]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    opts = optimizers(model, OptimizerConfig(kind=kind).optimization(8))  # type: ignore[arg-type]
    for _ in range(3):
        learn(model, opts)
    return model, opts


def learn(model: nn.Module, opts: list[torch.optim.Optimizer]) -> None:
    model(torch.randn(2, 3, 8, 8)).square().sum().backward()
    for opt in opts:
        opt.step()
        opt.zero_grad()


@pytest.mark.parametrize("kind", ["muon", "adamw", "lion"])
def test_optimizers_that_are_restored_go_on_alike(tmp_path: Path, kind: str):
    model, opts = trained(kind, 0)
    other, others = trained(kind, 1)
    held = checkpoint.optimizer_tensors(model, opts)
    checkpoint.write(tmp_path, 1, "", {"optimizer": held, "model": model.state_dict()}, {})
    found = checkpoint.newest(tmp_path, pytest.fail)
    assert found
    other.load_state_dict(found.tensors["model"])
    checkpoint.restore_optimizers(other, others, found.tensors["optimizer"])
    for _ in range(2):
        for one, its in ((model, opts), (other, others)):
            torch.manual_seed(5)
            learn(one, its)
    states: list[dict[str, Tensor]] = [one.state_dict() for one in (model, other)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    strange = {"5.weight:exp_avg": torch.zeros(1)}
    with pytest.raises(KeyError, match=r"5\.weight"):
        checkpoint.restore_optimizers(other, others, strange)


def test_what_another_optimizer_learned_is_refused():
    """As of a model of former versions, whose Muon learned more of it."""
    (model, opts), (other, others) = trained("muon", 0), trained("adamw", 0)
    for made, its, learned in ((other, others, (model, opts)), (model, opts, (other, others))):
        with pytest.raises(ValueError, match=r"0\.weight was learned by another optimizer than (AdamW|Muon)"):
            checkpoint.restore_optimizers(made, its, checkpoint.optimizer_tensors(*learned))
