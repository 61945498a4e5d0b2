import json
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sdmodel.train.metrics import Metrics, draw_curve


def row(images: int) -> dict[str, float]:
    return {"images": images, "loss": 1 / images, "fit": 1 / images, "rate": 0.5}


def write(folder: Path, first: int, last: int, text: str = "") -> Metrics:
    metrics = Metrics(folder, 100, first, text)
    for images in range(first + 10, last + 1, 10):
        metrics.report(row(images))
    metrics.close()
    return metrics


def test_reports_continue_those_of_a_snapshot(tmp_path: Path):
    held = write(tmp_path, 0, 50).text()
    (tmp_path / "metrics.jsonl").write_text(held + json.dumps(row(60)) + '\n{"ima')  # killed while it wrote
    assert write(tmp_path, 50, 100, held).text() == "".join(
        json.dumps(row(n)) + "\n" for n in range(10, 101, 10)
    )
    board = EventAccumulator(str(tmp_path / "logs" / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss")] == list(range(10, 101, 10))
    assert len((tmp_path / "logs" / "throughput.jsonl").read_text().splitlines()) == 10


def test_progress_says_what_is_left(tmp_path: Path):
    metrics = Metrics(tmp_path, 100, 40)
    told = metrics.report(row(70))
    metrics.close()
    assert (told["images"], told["total"], told["loss"]) == (70, 100, 1 / 70)
    assert told["images_per_second"] > 0
    assert told["seconds_left"] >= 0


def test_the_curve_is_a_picture_with_the_same_bytes(tmp_path: Path):
    write(tmp_path, 0, 50)
    for name in ("a.png", "b.png"):
        draw_curve(tmp_path / "metrics.jsonl", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (700, 350)
