"""Labels by name: classes, tags, rows that have none."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sdmodel.pretrain.labels import Column, LabelHeads, Labels, label_teaches
from sdmodel.pretrain.predictions import cross_entropy
from tests.sdmodel.pretrain.made import CAPTIONS, COLOURS, PAIRS, labels

NAMES = ("colour", "tags")


def test_classes_and_tags_are_told_and_what_is_not_known(tmp_path: Path):
    table = Labels.read(labels(tmp_path), NAMES)
    assert table.columns["colour"] == Column(tuple(sorted(COLOURS)), tags=False)
    truth, known = table.of("colour", [*CAPTIONS, "no row of the table"], every=False)
    assert known[:, 0].tolist() == [row % 4 > 0 for row in range(12)] + [False]
    told = [table.columns["colour"].classes[one] for one in truth[known].tolist()]
    assert told == [colour for row, (colour, _) in enumerate(PAIRS) if row % 4]
    truth, known = table.of("tags", CAPTIONS, every=False)
    assert known[:, 0].tolist() == [False] + [True] * 11
    for row, pair in enumerate(PAIRS[1:], 1):
        found = {table.columns["tags"].classes[place] for place in truth[row, 0].nonzero()[:, 0].tolist()}
        assert found == set(pair)


def test_the_guess_is_the_commonest_answer(tmp_path: Path):
    rows = [("b", ["x", "y"]), ("b", ["x"]), ("a", []), (None, None)]
    held = [{"uid": str(n), "one": one, "many": many} for n, (one, many) in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(held), tmp_path / "t.parquet")
    table = Labels.read(tmp_path / "t.parquet", ("one", "many"))
    assert table.constant("one") == 1
    assert table.constant("many").tolist() == [1, 0]
    assert LabelHeads(4, table).shares(every=True) == [0.75, 0.75]


def test_a_share_of_the_rows_teaches_always_the_same(tmp_path: Path):
    names = [str(number) for number in range(2000)]
    few, many = ({name for name in names if label_teaches(name, share)} for share in (0.1, 0.4))
    assert few < many
    assert abs(len(few) / 2000 - 0.1) < 0.03
    assert all(label_teaches(name, 1.0) for name in names)
    table = Labels.read(labels(tmp_path), NAMES, 0.5)
    learned, told = (table.of("colour", CAPTIONS, every)[1][:, 0].tolist() for every in (False, True))
    chosen = [label_teaches(caption, 0.5) for caption in CAPTIONS]
    assert learned == [one and other for one, other in zip(told, chosen, strict=True)]
    heads = LabelHeads(4, table)
    assert heads.shares(every=False)[0] == sum(learned) / 12 < heads.shares(every=True)[0] == 9 / 12


def test_rows_that_are_not_learned_from_teach_nothing(tmp_path: Path):
    heads = LabelHeads(4, Labels.read(labels(tmp_path), ("colour",), rows=CAPTIONS[:8]))
    assert heads.shares(every=False) == [6 / 8]  # two of them have no label
    with pytest.raises(ValueError, match=r"'colour' \(0 of 2 rows to learn from have one\).*of this dataset"):
        Labels.read(labels(tmp_path), ("colour",), rows=["of another", "dataset"])


def test_classes_that_were_not_learned_are_no_labels(tmp_path: Path):
    known = {"colour": Column(("red", "violet"), tags=False)}
    table = Labels.read(labels(tmp_path), ("colour",), known=known)
    truth, told = table.of("colour", CAPTIONS, every=True)
    assert told[:, 0].tolist() == [colour == "red" and row % 4 > 0 for row, (colour, _) in enumerate(PAIRS)]
    assert not truth.any()


@pytest.mark.parametrize(
    ("names", "share", "message"),
    [
        (("size",), 1.0, "no size; there are uid, colour"),
        (("number",), 1.0, "'number' holds int64"),
        (("same",), 1.0, "'same' has 1 different"),
        (("colour",), 1e-9, r"'colour' \(9 of 12"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, names: tuple[str, ...], share: float, message: str):
    table = pq.read_table(labels(tmp_path))
    table = table.append_column("number", pa.array(range(12))).append_column("same", pa.array(["x"] * 12))
    pq.write_table(table, tmp_path / "more.parquet")
    with pytest.raises(ValueError, match=message):
        Labels.read(tmp_path / "more.parquet", names, share)


def test_columns_may_have_any_name():
    columns = {name: Column(("a", "b"), tags=False) for name in ("type", "keys", "a.b", "a%2Eb", "")}
    heads = LabelHeads(4, Labels(columns, {}))
    assert len(heads(torch.zeros(2, 4), ["x", "y"], every=True)) == len(set(heads.layers)) == 5


def test_a_batch_without_labels_teaches_nothing_and_has_gradients(tmp_path: Path):
    heads = LabelHeads(4, Labels.read(labels(tmp_path), NAMES))
    losses = [
        cross_entropy(one).mean() for one in heads(torch.randn(2, 4), ["nobody", "no one"], every=False)
    ]
    torch.stack(losses).sum().backward()
    assert [loss.item() for loss in losses] == [0, 0]
    assert all(p.grad is not None and not p.grad.any() for p in heads.parameters())
