"""What is written down of a training: metrics.jsonl, and beside it times, TensorBoard and the curve.

metrics.jsonl is a result, to the byte the same after a resume. What differs from run to run lies in logs/.
"""

import json
import shutil
import time
from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter


class Metrics:
    """Writes the main process's reports after `text`, which is what a snapshot holds of earlier ones."""

    def __init__(self, folder: Path, total: int, images: int = 0, text: str = ""):
        self.path = folder / "metrics.jsonl"
        self.path.write_text(text)
        self.total, self.first, self.began = total, images, time.monotonic()
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        self.throughput = (logs / "throughput.jsonl").open("a")
        shutil.rmtree(logs / "tensorboard", ignore_errors=True)
        self.board = SummaryWriter(logs / "tensorboard")
        for line in text.splitlines():
            self._draw(json.loads(line))

    def report(self, row: dict[str, float]) -> dict[str, float | int]:
        """Writes a row ("images" and values); returns the progress as launch.py describes it."""
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        seconds = time.monotonic() - self.began
        speed = (row["images"] - self.first) / max(seconds, 1e-9)
        left = max(0.0, self.total - row["images"]) / max(speed, 1e-9)
        self.throughput.write(
            json.dumps({"images": row["images"], "seconds": seconds, "images_per_second": speed}) + "\n"
        )
        self.throughput.flush()
        self._draw(row)
        self.board.add_scalar("images_per_second", speed, int(row["images"]))
        return {
            "images": int(row["images"]),
            "total": self.total,
            "loss": row["loss"],
            "images_per_second": round(speed, 1),
            "seconds_left": round(left, 1),
        }

    def text(self) -> str:
        """All rows so far."""
        return self.path.read_text()

    def close(self) -> None:
        """Ends the files."""
        self.throughput.close()
        self.board.close()

    def _draw(self, row: dict[str, float]) -> None:
        for name, value in row.items():
            if name != "images":
                self.board.add_scalar(name, value, int(row["images"]))


def draw_curve(metrics: Path, picture: Path) -> None:
    """A PNG of every loss in `metrics` (a metrics.jsonl) against images seen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for name in [name for name in rows[0] if name not in ("images", "rate", "gradient_norm")]:
        axes.plot([row["images"] for row in rows], [row[name] for row in rows], label=name, linewidth=1.2)
    axes.set(xlabel="images seen", ylabel="training loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    FigureCanvasAgg(figure).print_png(str(picture), metadata={"Software": None})
