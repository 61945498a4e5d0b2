import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdmodel.train import trackers


class Peer:
    """Stands for a tracker's package: keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*values: Any, **named: Any) -> "Peer":
            self.calls.append((name, values, named))
            return self

        return call


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Peer:
    """Both packages, where none may be installed; the environment says nothing of them."""
    peer = Peer()
    for name in trackers.KNOWN:
        monkeypatch.setitem(sys.modules, name, peer)
    monkeypatch.setattr(trackers, "find_spec", lambda name: SimpleNamespace())
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return peer


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="wandb is not installed; `pip install wandb`, or leave it out"):
        trackers.check(["wandb"])


def test_wandb_is_offline_unless_configured(installed: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tracker = trackers.trackers(["wandb"], tmp_path, "birds")[1]
    tracker.log(64, {"loss": 0.5})
    tracker.close()
    assert installed.calls == [
        ("init", (), {"project": "sdflow", "name": "birds", "dir": str(tmp_path), "mode": "offline"}),
        ("log", ({"loss": 0.5},), {"step": 64}),
        ("finish", (), {}),
    ]
    monkeypatch.setenv("WANDB_API_KEY", "x")
    trackers.trackers(["wandb"], tmp_path, "birds")
    assert installed.calls[-1][2]["mode"] is None


def test_mlflow_takes_names_with_levels(installed: Peer, tmp_path: Path):
    tracker = trackers.trackers(["mlflow"], tmp_path, "birds")[1]
    tracker.log(64, {"validation/mse@3": 0.5})
    tracker.close()
    assert installed.calls[0] == ("set_tracking_uri", (f"sqlite:///{tmp_path}/mlflow.db",), {})
    assert ("log_metrics", ({"validation/mse at 3": 0.5},), {"step": 64}) in installed.calls
    assert installed.calls[-1][0] == "end_run"
