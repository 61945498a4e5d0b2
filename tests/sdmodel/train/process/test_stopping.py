import os
import signal
from pathlib import Path

import pytest

from sdmodel.train.process import stopping
from sdmodel.train.process.stopping import Stopping


def test_a_file_asks_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stopping, "LOOK", 0)
    asked = Stopping(tmp_path)
    assert not asked()
    (tmp_path / "stop").touch()
    assert asked()
    (tmp_path / "stop").unlink()
    assert asked()  # once and for all


def test_a_signal_asks_to_stop(tmp_path: Path):
    before = signal.getsignal(signal.SIGTERM)
    try:
        asked = Stopping(tmp_path)
        asked.listen()
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    finally:
        signal.signal(signal.SIGTERM, before)
