"""The line's fingerprints, digests, file names, tables and tensors are those that were written down.

A change that is to change one of them records them anew, and says why:

    RECORD_GOLDEN=1 .venv/bin/python -m pytest tests/golden

As with the golden curves, equal software on an equal processor gives equal bits; elsewhere everything but
hashes is compared.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.golden.smoke import flat, recorded

FILE = Path(__file__).with_name("smoke.json")
HASH = re.compile(r"\b[0-9a-f]{16,64}\b")


def without_hashes(value: Any) -> Any:
    """This leaves names, shapes and counts."""
    return json.loads(HASH.sub("HASH", json.dumps(value)))


@pytest.mark.slow
def test_the_line_makes_what_is_written_down():
    actual = json.loads(json.dumps(recorded(), sort_keys=True))
    if os.environ.get("RECORD_GOLDEN"):
        FILE.write_text(json.dumps(actual, indent=1, sort_keys=True) + "\n")
    golden = json.loads(FILE.read_text())
    if actual.pop("platform") != golden.pop("platform"):
        actual, golden = without_hashes(actual), without_hashes(golden)
    before, after = flat(golden), flat(actual)
    names = sorted({*before, *after})
    changes = [
        f"{name}: {before.get(name, 'nothing')} became {after.get(name, 'nothing')}"
        for name in names
        if before.get(name) != after.get(name)
    ]
    assert changes == []
    assert golden == actual
