"""Which weights a name means. What the loaded model says is tested with score, which uses it."""

from pathlib import Path

import pytest

from stages.pretrained.clip import OpenClip, clip_snapshot


def test_no_name_is_no_clip():
    assert clip_snapshot("") is None


def test_a_folder_is_known_by_its_files_wherever_it_lies(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "open_clip_config.json").write_text("{}")
        (folder / "open_clip_model.safetensors").write_bytes(b"weights")
    one, two = (clip_snapshot(f"local-dir:{folder}") for folder in (first, second))
    assert one is not None
    assert one == two
    (second / "open_clip_model.safetensors").write_bytes(b"others")
    assert clip_snapshot(f"local-dir:{second}") != one


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_a_config_is_refused(tmp_path: Path, name: str):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError, match=rf"{name} is no open_clip folder: open_clip_config\.json is missing"
    ):
        clip_snapshot(f"local-dir:{tmp_path / name}")


@pytest.mark.parametrize("name", ["weights.pt", "open_clip_pytorch_model.bin"])
def test_weights_that_are_pickles_are_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(
        ValueError, match=rf"{name} is no \.safetensors file; other files of weights are pickles"
    ):
        clip_snapshot("ViT-B-32", str(tmp_path / name))
    with pytest.raises(ValueError, match=rf"{tmp_path} holds no weights as \.safetensors; other"):
        clip_snapshot(f"local-dir:{tmp_path}")


def test_a_tag_and_a_file_of_weights_are_known_apart(tmp_path: Path):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"first")
    snapshots = [clip_snapshot("ViT-B-32", str(weights)), clip_snapshot("ViT-B-32", "openai")]
    weights.write_bytes(b"second")
    snapshots.append(clip_snapshot("ViT-B-32", str(weights)))
    assert len({one.digest for one in snapshots if one}) == 3


def test_unknown_names_are_told_with_near_ones():
    with pytest.raises(ValueError, match=r"no model 'ViT-B-23'; near: .*ViT-B-32"):
        OpenClip("ViT-B-23", "openai", device="cpu")
    with pytest.raises(ValueError, match=r"no weights 'nowhere' for ViT-B-32; known: .*openai"):
        OpenClip("ViT-B-32", "nowhere", device="cpu")
    with pytest.raises(ValueError, match=r"no weights '' for ViT-B-32"):
        OpenClip("ViT-B-32", device="cpu")
