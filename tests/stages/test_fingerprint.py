import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.fingerprint import canonical_config, canonical_json, digest_of, fingerprint_of, sha256_of

VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abé\n"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = 8
    workers: int = field(default=1, metadata={"neutral": True})


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    rate: float = 0.5
    inner: Inner = Inner()
    wide: Inner = field(default_factory=lambda: Inner(width=16))
    sources: tuple[Inner, ...] = ()
    table: dict[str, Any] = field(default_factory=dict)
    device: str = field(default="cpu", metadata={"neutral": True})


@given(VALUES)
def test_canonical_json_says_the_value_and_nothing_else(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers()))
def test_order_does_not_count(value: dict[str, int]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": value})


def test_a_fingerprint_is_sha256_of_canonical_json() -> None:
    assert (
        fingerprint_of({"b": 1, "a": [None, "é"]})
        == hashlib.sha256('{"a":[null,"é"],"b":1}'.encode()).hexdigest()
    )


def test_defaults_and_neutral_fields_are_left_out() -> None:
    assert canonical_config(Outer(name="x")) == {"name": "x"}
    assert canonical_config(Outer(name="x", rate=0.5, device="cuda", inner=Inner(workers=9))) == {"name": "x"}
    changed = canonical_config(Outer(name="x", rate=0.25, inner=Inner(width=9, workers=9)))
    assert changed == {"name": "x", "rate": 0.25, "inner": {"width": 9}}


def test_a_nested_default_is_the_outer_fields_own() -> None:
    assert canonical_config(Outer(name="x", wide=Inner(width=16, workers=3))) == {"name": "x"}
    # Equal to the default of its class, but not of this field: it must not be mistaken for that.
    assert canonical_config(Outer(name="x", wide=Inner())) == {"name": "x", "wide": {}}


def test_lists_of_configs_keep_their_order_and_length() -> None:
    config = Outer(name="x", sources=(Inner(width=2), Inner(), Inner(workers=4)))
    assert canonical_config(config)["sources"] == [{"width": 2}, {}, {}]


def test_whole_numbers_are_the_same_request_in_either_type() -> None:
    assert canonical_json(canonical_config(Outer(name="x", rate=2))) == canonical_json(
        canonical_config(Outer(name="x", rate=2.0))
    )
    table = {"a": [1.0, 2.5], "b": {"c": 3.0}}
    assert (
        canonical_json(canonical_config(Outer(name="x", table=table))["table"])
        == b'{"a":[1,2.5],"b":{"c":3}}'
    )


def test_logs_and_evidence_are_outside_the_digest() -> None:
    result = {"images.parquet": "1" * 64}
    assert digest_of({**result, "logs/times.json": "2" * 64, "evidence/a/b": "3" * 64}) == digest_of(result)
    assert digest_of({**result, "logs.json": "2" * 64}) != digest_of(result)
    assert digest_of({"other.parquet": "1" * 64}) != digest_of(result)


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
