"""An emitter for each test, and an environment that asks for nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.lineage import emitter
from stages.store import Store, open_store


@pytest.fixture(autouse=True)
def unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody asks for events yet, and what another test or person has set is out of reach."""
    for name in [name for name in os.environ if "OPENLINEAGE" in name]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    emitter._emitters.clear()
    yield
    emitter.flush(60)
    emitter._emitters.clear()
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE__")]:
        del os.environ[name]  # the client copies OPENLINEAGE_URL there


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Events are asked for, and go here."""
    monkeypatch.setenv("SDFLOW_OPENLINEAGE", str(tmp_path / "lineage" / "events.jsonl"))
    return tmp_path / "lineage" / "events.jsonl"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))
