import json
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sdmodel.train import metrics as written
from sdmodel.train.metrics import Gauge, Metrics, draw_curve


def row(images: int) -> dict[str, float]:
    return {"images": images, "loss": 1 / images, "fit": 1 / images, "rate": 0.5}


def write(folder: Path, first: int, last: int, text: str = "") -> Metrics:
    metrics = Metrics(folder, 100, first, text)
    for images in range(first + 10, last + 1, 10):
        metrics.write(row(images))
    metrics.close()
    return metrics


def test_rows_continue_those_of_a_checkpoint(tmp_path: Path):
    text = write(tmp_path, 0, 50).text()
    (tmp_path / "metrics.jsonl").write_text(text + json.dumps(row(60)) + '\n{"ima')  # killed while it wrote
    assert write(tmp_path, 50, 100, text).text() == "".join(
        json.dumps(row(n)) + "\n" for n in range(10, 101, 10)
    )
    board = EventAccumulator(str(tmp_path / "logs" / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss")] == list(range(10, 101, 10))
    assert len((tmp_path / "logs" / "throughput.jsonl").read_text().splitlines()) == 10


def test_progress_says_what_is_left(tmp_path: Path):
    metrics = Metrics(tmp_path, 100, 40)
    progress = metrics.write(row(70))
    metrics.close()
    assert (progress["images"], progress["total"], progress["loss"]) == (70, 100, 1 / 70)
    assert progress["images_per_second"] > 0
    assert progress["seconds_left"] >= 0
    assert progress["memory"] > 2**20
    assert not {"mfu", "cost"} & set(progress)


def test_speed_is_that_of_late_and_the_mean_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(written.time, "monotonic", lambda: clock[0])
    metrics = Metrics(tmp_path, 10**6, gauge=Gauge(flops=5.0, peak=1000.0, price=36.0))
    for images in range(10, 10 * (written.WINDOW + 3), 10):
        clock[0] += 100.0 if images == 10 else 1.0  # the first compiles
        progress = metrics.write(row(images))
    metrics.close()
    assert progress["images_per_second"] == 10.0
    assert progress["mfu"] == 0.05
    assert progress["cost"] == pytest.approx(36 * progress["seconds"] / 3600, abs=1e-4)
    assert progress["cost_left"] == pytest.approx(36 * progress["seconds_left"] / 3600, rel=1e-3)
    last = json.loads((tmp_path / "logs" / "throughput.jsonl").read_text().splitlines()[-1])
    assert last["images_per_second"] == pytest.approx(progress["images"] / progress["seconds"])


def test_the_curve_is_a_picture_with_the_same_bytes(tmp_path: Path):
    write(tmp_path, 0, 50)
    for name in ("a.png", "b.png"):
        draw_curve(tmp_path / "metrics.jsonl", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (700, 350)


def test_the_curve_shows_what_was_validated(tmp_path: Path):
    rows = [row(n) | ({"validation/mse": 1 / n, "validation/mse@0": 2.0} if n % 20 == 0 else {}) for n in
            range(10, 60, 10)]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    draw_curve(tmp_path / "metrics.jsonl", tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (700, 700)


def test_of_many_measures_a_curve_shows_those_of_the_average(tmp_path: Path):
    """Forty lines leave no room for axes, of which matplotlib warns."""
    many = {
        f"{split}/{weights}{n}": 1.0
        for split in ("validation", "train")
        for weights in ("", "ema/")
        for n in range(10)
    }
    rows = [row(n) | many for n in (10, 20)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    draw_curve(tmp_path / "metrics.jsonl", tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (700, 700)


def test_the_first_row_after_another_training_says_where_that_ended(tmp_path: Path):
    def marks(text: str) -> dict[int, int]:
        rows = [json.loads(line) for line in text.splitlines()]
        return {row["images"]: row["continued_at"] for row in rows if "continued_at" in row}

    def go_on(folder: Path, text: str, first: int, at: int, last: int) -> str:
        folder.mkdir()
        metrics = Metrics(folder, 100, first, text, continued_at=at)
        for images in range(first + 10, last + 1, 10):
            metrics.write(row(images))
        metrics.close()
        return metrics.text()

    begun = write(tmp_path, 0, 30).text()
    more = go_on(tmp_path / "more", begun, 30, 30, 60)
    assert marks(more) == {40: 30}
    assert marks(go_on(tmp_path / "resumed", more, 60, 30, 80)) == {40: 30}
    assert marks(go_on(tmp_path / "again", more, 60, 60, 90)) == {40: 30, 70: 60}

    # It is a line of the picture, and none of its curves.
    draw_curve(tmp_path / "again" / "metrics.jsonl", tmp_path / "marked.png")
    plain = [
        {name: value for name, value in json.loads(line).items() if name != "continued_at"}
        for line in (tmp_path / "again" / "metrics.jsonl").read_text().splitlines()
    ]
    (tmp_path / "plain.jsonl").write_text("".join(json.dumps(each) + "\n" for each in plain))
    draw_curve(tmp_path / "plain.jsonl", tmp_path / "plain.png")
    assert (tmp_path / "marked.png").read_bytes() != (tmp_path / "plain.png").read_bytes()
    board = EventAccumulator(str(tmp_path / "again" / "logs" / "tensorboard")).Reload()
    assert "continued_at" not in board.Tags()["scalars"]
