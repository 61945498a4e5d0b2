from pathlib import Path

import pytest

from stages.pretrained.lpips import lpips_input
from stages.store import Store
from stages.train.train import train
from tests.stages import worlds
from tests.stages.pretrained.filed import filed


def test_weights_count_and_not_where_they_lie(store: Store, tmp_path: Path):
    for name, contents in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / f"{name}.safetensors").write_bytes(contents)
    a, b, c = (lpips_input(str(tmp_path / f"{name}.safetensors")) for name in "abc")
    assert a == b
    assert a != c
    assert lpips_input("") is None
    assert lpips_input(str(tmp_path)) not in (a, c)
    dataset = filed(store, "datasets/d", {"index.parquet": b""}, "shard")
    config = worlds.changed()
    names = {
        train.fingerprint(dataset, None, None, (), None, own, config=config) for own in ((), (a,), (b,), (c,))
    }
    assert len(names) == 3


def test_no_pickle_and_nothing_are_refused(tmp_path: Path):
    (tmp_path / "vgg.pth").write_bytes(b"")
    for path in (tmp_path, tmp_path / "vgg.pth", tmp_path / "none.safetensors"):
        with pytest.raises(ValueError, match=r"train\.autoencoder\.lpips=.* no weights as \.safetensors"):
            lpips_input(str(path))
