import ast
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest

from sdmodel.config.adapter import adapter_of
from sdmodel.config.model import DiTConfig, UNet2DConfig, UNetConfig
from sdmodel.config.text import TextConfig


def test_sources_are_parsed_by_one_thread_at_a_time_and_once(monkeypatch: pytest.MonkeyPatch):
    """Before Python 3.11.8 two at once end each other."""
    parse, parsing, parsed = ast.parse, Lock(), []

    def watched(*arguments, **options):
        alone = parsing.acquire(blocking=False)
        parsed.append(alone)
        try:
            return parse(*arguments, **options)
        finally:
            if alone:
                parsing.release()

    monkeypatch.setattr(ast, "parse", watched)
    kinds = [tuple[kind, ...] for kind in (UNetConfig, UNet2DConfig, DiTConfig, TextConfig)]
    start = Barrier(2 * len(kinds))

    def made(kind):
        start.wait()
        return adapter_of(kind)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2 * len(kinds)) as threads:
            adapters = list(threads.map(made, kinds * 2))
    finally:
        sys.setswitchinterval(before)
    assert parsed
    assert all(parsed)
    assert adapters[: len(kinds)] == adapters[len(kinds) :]
