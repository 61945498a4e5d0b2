"""The parts of a training: complete checkpoints, brought to the store as they appear.

Each goes by the images seen when it was taken. The newest ones are what a resume needs; every
`checkpoint_keep_every`-th is chosen to stay, and its averaged weights become files of the model.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from sdmodel.config.train import TrainConfig
from stages.artifacts.activity import leases_in_use
from stages.artifacts.part import PartRecord, read_part
from stages.errors import DamagedError
from stages.fingerprint import JSON, canonical_config
from stages.output import Output, Part, PartResult
from stages.train.unfinished import Unfinished, notice

KEEP = 2
"""Checkpoints that stay in the store while the training runs: the newest, and one before it in case that is
damaged."""
KEY = "checkpoint-"
PUBLISHED = ("averages.safetensors",)
"""Files of a chosen checkpoint that the model keeps."""


class Checkpoints:
    """Those of one training in the store, until it is finished."""

    def __init__(
        self, out: Output, config: TrainConfig, inputs: list[str], samples: Path, continued_at: int = 0
    ) -> None:
        """A training's checkpoints.

        Args:
            out: of the stage.
            config: of the training.
            inputs: digests of what it reads.
            samples: folder of the pictures that it draws on its way; those until then go with a checkpoint.
            continued_at: images seen by the model that it goes on with, 0 where it begins.
        """
        self._out, self._config, self._inputs, self._samples = out, config, inputs, samples
        self._continued_at = continued_at
        self._newest: list[Part] = []
        self._chosen: list[Part] = []

    def restore(self, root: Path) -> tuple[int, float]:
        """Copy the newest checkpoints of the store below `root`.

        One whose files are not whole is dropped, and the one before it counts; those are dropped, too, that
        a crash left although newer ones were there.

        Returns:
            Images seen and seconds spent up to the newest; (0, 0.0) where there is none.
        """
        parts = [self._find(images) for images in self._listed()]
        own = [part for part in parts if part is not None]
        for part in reversed(own):
            if len(self._newest) < KEEP and self._copy_out(part, root):
                self._newest.insert(0, part)
        for part in own:
            if self._is_due(_images(part)):
                self._chosen.append(part)
            elif part not in self._newest:
                self._drop(part)
        if not self._newest:
            return 0, 0.0
        statistics = self._newest[-1].statistics
        return _images(self._newest[-1]), float(str(statistics.get("seconds", 0.0)))

    def store(self, images: int, folder: Path, seconds: float) -> None:
        """Bring a complete checkpoint to the store and forget the oldest; not one that is gone by now, since
        the training has taken newer ones while this was busy with those before.

        Args:
            images: seen when it was taken.
            folder: of its files, which stay; renamed before it is removed.
            seconds: that the training had taken until then.
        """
        aside = self._out.folder / f"{KEY}{images}"
        try:
            shutil.copytree(folder, aside)
        except OSError:
            if folder.exists():
                raise
        if not folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
            return
        for again in [part for part in self._newest if _images(part) == images]:
            self._newest.remove(again)  # it was found damaged and passed over
            self._chosen = [part for part in self._chosen if part is not again]
            self._drop(again)
        if self._samples.exists():
            shutil.copytree(self._samples, aside / self._samples.name)
        progress: dict[str, JSON] = {"images": images, "seconds": round(seconds, 3)}
        # What it is of, for who begins another and meant this one.
        request = {"fingerprint": self._out.fingerprint, "config": canonical_config(self._config)}
        result = PartResult(statistics={**progress, **request, "inputs": self._inputs})
        part = self._out.record(aside.name, [*self._inputs, str(images)], aside, result)
        self._newest.append(part)
        if self._is_due(images):
            self._chosen.append(part)
        for old in self._newest[:-KEEP]:
            if old not in self._chosen:
                self._drop(old)
        del self._newest[:-KEEP]

    def publish(self) -> None:
        """Let the chosen ones become files of the model, by reference: their averaged weights; or all, and
        then the last one's too, so that another training can go on where this one ended."""
        drawn = f"{self._samples.name}/"
        last = self._newest[-1:] if self._config.checkpoint_keep_state else []
        for part in {part.key: part for part in [*self._chosen, *last]}.values():
            all_names = [name for name in part.names() if not name.startswith(drawn)]
            names = all_names if self._config.checkpoint_keep_state else PUBLISHED
            self._out.add({f"checkpoints/{_images(part):09d}/{name}": part.files[name] for name in names})

    def clear(self) -> None:
        """A finished training needs none of them, but for what it has published."""
        for part in {part.key: part for part in [*self._chosen, *self._newest]}.values():
            self._drop(part)
        self._newest.clear()
        self._chosen.clear()

    def unfinished_notice(self) -> str:
        """A notice of the store's unfinished trainings of other settings that nobody works on; empty where
        there are none, or none is near this one."""
        busy = {folder.rpartition("/")[2] for folder in leases_in_use(self._out.store)}
        newest: dict[str, Unfinished] = {}
        for record in self._records():
            training = Unfinished.of(record.statistics)
            if (
                training is None
                or training.fingerprint in busy
                or training.fingerprint == self._out.fingerprint
            ):
                continue
            if training.fingerprint not in newest or training.images > newest[training.fingerprint].images:
                newest[training.fingerprint] = training
        others, config = list(newest.values()), canonical_config(self._config)
        return notice(others, config, self._inputs, self._continued_at)

    def _listed(self) -> list[int]:
        """Images of the checkpoints of all unfinished trainings of this store, ascending."""
        return sorted({int(record.key.removeprefix(KEY)) for record in self._records()})

    def _records(self) -> Iterator[PartRecord]:
        """Of the checkpoints of all unfinished trainings of this store.

        One listing, however long the trainings are; there are KEEP of each and those chosen.
        """
        for listed in self._out.store.list(f"parts/{self._out.stage}"):
            try:
                record = read_part(self._out.store, listed.key)
            except (FileNotFoundError, DamagedError):  # dropped since the listing, or none to go on from
                continue
            if record.key.startswith(KEY):
                yield record

    def _find(self, images: int) -> Part | None:
        """This training's own, if it has one."""
        return self._out.find(f"{KEY}{images}", [*self._inputs, str(images)])

    def _copy_out(self, part: Part, root: Path) -> bool:
        """Copy a checkpoint's files below `root`; False if one is damaged."""
        try:
            paths = {name: part.path(name) for name in part.names()}
        except DamagedError:
            return False
        for name, path in paths.items():
            drawn = name.startswith(f"{self._samples.name}/")
            target = self._samples.parent / name if drawn else root / f"{_images(part):09d}" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        return True

    def _is_due(self, images: int) -> bool:
        """Whether a checkpoint is the first in a span of `checkpoint_keep_every` ones, those chosen before it
        given."""
        span = self._config.checkpoint_keep_every * self._config.checkpoint_every
        last = _images(self._chosen[-1]) if self._chosen else self._continued_at
        return bool(span) and images // span > last // span

    def _drop(self, part: Part) -> None:
        published = {entry.key for entry in self._out.files.values()}
        self._out.forget(part)
        self._out.store.delete(entry.key for entry in part.files.values() if entry.key not in published)


def _images(part: Part) -> int:
    return int(str(part.statistics["images"]))
