"""What a study would take, before anything is trained: cases, those that are finished, hours."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.step import existing_store, finished
from flows.steps import ENCODE, STEPS, TRAIN
from flows.study.cases import PACE, Case
from flows.study.config import StudyConfig
from flows.study.halving import rungs
from stages.artifacts.artifact import Artifact
from stages.pretrained.image_encoder import image_encoder_folder, image_encoder_input
from stages.store import open_store

SEEING = ("encoder", "alignment", "autoencoder", "conditions", "sampling")
"""Keys of a training of which its pace is measured without an image encoder, and tried with it."""
TRIED = 3.0
"""Seconds for which a speed is tried on random pictures, where the store has none measured."""


def preview(study: StudyConfig, cases: Sequence[Case], machine: str, lanes: int) -> Iterator[str]:
    """Lines for people: what each arm takes, and all of them together.

    Args:
        study: the study.
        cases: all of them.
        machine: that speeds are measured on, in words.
        lanes: trainings side by side.
    """
    datasets: dict[str, Artifact | None] = {}
    total = 0.0
    for arm in study.arms:
        own = [case for case in cases if case.arm == arm.name]
        speed = 0.0
        left = seconds = 0
        for case in own:
            measured, trained = _recorded(study, case, datasets, machine)
            if trained:
                continue
            left += 1
            if not case.budget.seconds and not (measured or speed):
                speed = _tried(case, cases)  # of the arm's other variants about the same
            images = case.budget.images or case.run.train.images
            seconds += case.budget.seconds or images / (measured or speed)
        if arm.name in study.raced:
            cells = len({(case.variant, case.arm) for case in cases if case.arm in study.raced})
            seconds *= sum(share * taking_part for share, taking_part in rungs(study.halving, cells)) / cells
        total += seconds
        cached = f", {len(own) - left} of them cached" if left < len(own) else ""
        yield f"{arm.name:>12}  {len(own)} cases{cached}, {seconds / 3600:.2f} h of training"
    hours = f"{total / 3600 / lanes:.2f} h: {total / 3600:.2f} h of training, {lanes} at once"
    yield f"{len(cases)} cases, {hours}; collecting, measuring speeds and evaluating come on top"


def _recorded(
    study: StudyConfig, case: Case, datasets: dict[str, Artifact | None], machine: str
) -> tuple[float, bool]:
    """Images per second, 0 where they were not measured; and whether the case's training is finished."""
    speed, store = 0.0, existing_store(case.run.store)
    if store is None:
        return speed, False
    try:
        if case.data not in datasets:
            datasets[case.data] = None  # so that a folder is read once, whatever comes of it
            datasets[case.data] = finished(STEPS, "shard", case.run, store)
        if (data := datasets[case.data]) is None:
            return speed, False
        if pace := PACE.find(store, case.name, case.pace(machine, study.measuring), [data]):
            speed = float(pace.json("pace.json")["images_per_second"])
        if case.budget.seconds and not speed:
            return speed, False
        latents = [finished(STEPS, "encode", case.run, store)] if ENCODE.is_enabled(case.run.encode) else []
        return speed, TRAIN.find(store, case.name, case.train(speed), [data, *latents]) is not None
    except ValueError:  # the dataset, its latents or what the case starts from are not there yet
        return speed, False


def _tried(case: Case, cases: Sequence[Case]) -> float:
    """Images per second that a training learns from, on random pictures."""
    from stages.forecast.forecast import forecast

    train = case.run.train
    seeing = {key: getattr(train, key) for key in SEEING}
    config = replace(case.pace("", TRIED).train, start="", **seeing)
    with TemporaryDirectory(prefix="sdflow-") as name:
        folder = Path(name)
        encoder = _image_encoder(case, cases, folder / "encoder")
        return forecast(config, None, folder, encoder=encoder, seconds=TRIED).images_per_second


def _image_encoder(case: Case, cases: Sequence[Case], folder: Path) -> Path | None:
    """The image encoder that a training sees pictures by, below a folder: one that has learned nothing where
    another case of the study is yet to make it; None where it names none."""
    from sdmodel.train.profile import random_encoder

    reference = case.run.train.encoder
    if not reference:
        return None
    for other in cases:
        if reference == f"models/{other.name}@latest":
            folder.mkdir()
            return random_encoder.write(folder, other.run.train)
    store = open_store(case.run.store, writable=False)
    return image_encoder_folder(image_encoder_input(store, "train.encoder", reference), folder)
