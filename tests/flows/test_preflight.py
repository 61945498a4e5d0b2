"""What a run cannot work with is told before Prefect starts; most of it is asked in test_cli.py."""

from pathlib import Path

import pytest

from flows.cli import main
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Funnel, Snapshot
from stages.artifacts.reference import refer
from stages.output import Output
from stages.pretrained.continuation import FILES
from stages.stage import Stats, stage
from stages.store import open_store
from tests.stages.pretrained.filed import filed


def test_records_that_cannot_be_read_are_told_before_prefect_starts(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As the version before seals wrote them.
    entry = tmp_path / "store/refs/images/one/00000001.json"
    entry.parent.mkdir(parents=True)
    entry.write_text('{"artifact": "0", "number": 1, "stage": "collect"}')
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: one\nstore: {tmp_path / 'store'}\ncollect: {{folders: [{{name: p, folder: {pictures}}}]}}\n"
    )
    with pytest.raises(SystemExit) as end:
        main(["run", str(config)])
    out, error = capsys.readouterr()
    assert (end.value.code, out) == (1, "")
    assert len(error.splitlines()) == 1
    assert "refs/images/one/00000001.json" in error
    assert "a version before seals" in error
    assert "kept" not in error


def test_a_folder_that_is_not_there_is_told_before_prefect_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.yaml"
    source = f"{{name: p, folder: {tmp_path}/none}}"
    config.write_text(f"name: one\nstore: {tmp_path / 'store'}\ncollect: {{folders: [{source}]}}\n")
    with pytest.raises(SystemExit, match="2"):
        main(["run", str(config)])
    out, error = capsys.readouterr()
    assert (out, len(error.splitlines())) == ("", 1)
    assert f"source 'p': there is no folder '{tmp_path}/none'; check the path" in error
    assert list(tmp_path.iterdir()) == [config]


def test_a_model_without_its_state_is_told_before_prefect_starts(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @stage(version=5, kind="model", name="train")
    def train(config: TrainConfig, out: Output) -> Stats:
        out.write("model/config.json").write_text("{}")
        return Stats(Funnel(0, 0))

    store = open_store(str(tmp_path / "store"))
    refer(store, "models/old", train(TrainConfig(), store=store))
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: one\nstore: {store.url}\ncollect: {{folders: [{{name: p, folder: {pictures}}}]}}\n"
        "train: {continue_from: models/old@1}\n"
    )
    with pytest.raises(SystemExit):
        main(["run", str(config)])
    out, error = capsys.readouterr()
    assert (out, len(error.splitlines())) == ("", 1)
    assert "train.continue_from='models/old@1'" in error
    assert "train it again with train.checkpoint_keep_state=true" in error


def test_another_model_in_the_place_of_an_image_encoder_is_told_before_prefect_starts(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(str(tmp_path / "store"))
    filed(store, "models/reader", {"model/config.json": b'{"kind": "text"}'})
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: one\nstore: {store.url}\ncollect: {{folders: [{{name: p, folder: {pictures}}}]}}\n"
        "evaluate: {encoder: models/reader}\n"
    )
    with pytest.raises(SystemExit):
        main(["run", str(config)])
    out, error = capsys.readouterr()
    assert (out, len(error.splitlines())) == ("", 1)
    assert "evaluate.encoder='models/reader' is no image encoder" in error


def test_pixels_in_the_place_of_latents_are_told_before_prefect_starts(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @stage(version=5, kind="model", name="train")
    def train(latents: Snapshot, config: TrainConfig, out: Output) -> Stats:
        for name in ("state.json", *FILES):
            out.write(f"checkpoints/000000100/{name}").write_text(name)
        return Stats(Funnel(0, 0))

    store = open_store(str(tmp_path / "store"))
    refer(store, "models/old", train(Snapshot("latents"), TrainConfig(), store=store))
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: one\nstore: {store.url}\ncollect: {{folders: [{{name: p, folder: {pictures}}}]}}\n"
        "train: {continue_from: models/old@1}\n"
    )
    with pytest.raises(SystemExit):
        main(["run", str(config)])
    out, error = capsys.readouterr()
    assert (out, len(error.splitlines())) == ("", 1)
    assert "learned from latents, and this config asks for pixels; leave encode as it was" in error
