"""Tables of pseudo-labels that are of other pictures than those that are trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from accelerate import Accelerator

from sdmodel.conditions.pseudo import pseudo_warnings
from sdmodel.config.conditions import ClassColumnConfig, ConditionsConfig, PseudoLabelsConfig
from sdmodel.data.index import read_index
from sdmodel.train.job import JobSpec
from sdmodel.train.prepare import prepare
from sdmodel.train.process.messages import Message
from sdmodel.train.run import run
from tests.sdmodel.golden.tiny import config_of, job

COLUMN = ClassColumnConfig(column="colour", pseudo=PseudoLabelsConfig(labels="labels/colours"))
CONDITIONS = ConditionsConfig(columns=(COLUMN,), width=8)


def table_of(folder: Path, uids: Sequence[str]) -> dict[str, Path]:
    path = folder / "labels.parquet"
    rows = {"uid": list(uids), "label": ["red"] * len(uids), "confidence": [1.0] * len(uids)}
    pq.write_table(pa.table(rows), path)
    return {"colour": path}


def job_of(folder: Path, dataset: Any, uids: Sequence[str]) -> JobSpec:
    folder.mkdir(exist_ok=True)
    config = config_of("diffusion", conditions=CONDITIONS, images=8)
    return replace(job(folder / "training", dataset, config), pseudo=table_of(folder, uids))


def test_a_table_of_another_dataset_is_refused(dataset: Any, tmp_path: Path):
    foreign = job_of(tmp_path, dataset, [f"{row:032x}" for row in range(900, 912)])
    words = r"none of the 12 pictures of pseudo\.labels='labels/colours' is in the train split.*sdflow label"
    with pytest.raises(ValueError, match=words):
        prepare(foreign, Accelerator(cpu=True))
    # Of the validation split alone: no picture of it is trained on either.
    with pytest.raises(ValueError, match="none of the 1 pictures"):
        prepare(job_of(tmp_path, dataset, [f"{9:032x}"]), Accelerator(cpu=True))


def test_a_training_says_that_few_pictures_of_a_table_are_its_own(dataset: Any, tmp_path: Path):
    heard: list[Message] = []
    uids = [f"{row:032x}" for row in (5, 15, *range(900, 903))]
    assert run(job_of(tmp_path, dataset, uids), report=heard.append)
    words = "pseudo.labels='labels/colours' of column 'colour': 2 of its 5 pictures are trained on"
    warnings = [message["warning"] for message in heard if "warning" in message]
    assert [warning for warning in warnings if warning.startswith(words)]


def test_a_table_of_the_dataset_is_not_warned_of(dataset: Any, tmp_path: Path):
    index = read_index(dataset.index, dataset.tars, "train", columns=["colour"])
    for uids in (index.uids[:8], [*index.uids[:5], "a", "b"], []):
        assert pseudo_warnings(index, CONDITIONS, table_of(tmp_path, uids)) == []
