"""Contradictions are told, whatever agrees or says nothing is not."""

from pathlib import Path
from typing import Any

import pytest

from stages.collect.report.conflicts import CHARACTERS, CONFLICTS, find_conflicts
from stages.record import uid_of
from tests.stages.versions import Row, image, write

SHA256 = "ab" * 32


def found(tmp_path: Path, *rows: Row) -> list[dict[str, Any]]:
    table = find_conflicts(write(tmp_path / "it's images.parquet", rows))
    assert table.schema == CONFLICTS
    return table.to_pylist()


def about_column(name: str, stated: str, actual: str) -> dict[str, str]:
    return {
        "uid": uid_of("test", "a"),
        "kind": "column",
        "subject": name,
        "stated": stated,
        "contradicted_by": actual,
    }


# The picture is a JPEG of 40 x 30.
@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"width": 40, "height": 30}, []),
        ({"WIDTH": "40", "Height": 30.0}, []),
        ({"width": 41, "height": 30}, [about_column("width", "41", "40")]),
        ({"HEIGHT": "29"}, [about_column("HEIGHT", "29", "30")]),
        ({"width": None, "height": "unknown"}, []),
        ({"width": 0, "height": -1}, []),
        ({"width": 256, "original_width": 40}, []),  # before and after img2dataset's resizing
        (
            {"width": 256, "original_width": 80},
            [about_column("original_width", "80", "40"), about_column("width", "256", "40")],
        ),
        ({"sha256": SHA256.upper()}, []),
        ({"sha256": "cd" * 32}, [about_column("sha256", "cd" * 32, SHA256)]),
        ({"sha256": "not computed"}, []),
        ({"format": "JPG"}, []),
        ({"format": "image/jpeg"}, []),
        ({"format": ".jpeg"}, []),
        ({"format": "portrait"}, []),
        ({"format": "image/png"}, [about_column("format", "image/png", "jpeg")]),
        ({"note": 'says "width": 41', 'odd "name': 1, "width of it": 1, "nested": {"width": 1}}, []),
        ({"format": ["png"], "width": {"px": 3}}, []),
    ],
)
def test_columns_that_tell_of_another_file(
    tmp_path: Path, columns: dict[str, Any], expected: list[dict[str, str]]
):
    assert found(tmp_path, image("a", columns=columns, sha256=SHA256)) == expected


def test_sizes_may_be_those_before_the_picture_was_turned(tmp_path: Path):
    turned = {"width": 30, "height": 40}
    assert found(tmp_path, image("a", columns=turned, repairs=["oriented"])) == []
    assert [row["subject"] for row in found(tmp_path, image("a", columns=turned))] == ["height", "width"]


def test_copies_with_other_captions(tmp_path: Path):
    rows = [
        image("one", ["A dog ", "a pet"], sha256=SHA256),
        image("same", ["a pet", "a dog"], sha256=SHA256),
        image("other", ["a cat"], sha256=SHA256),
        image("silent", [], sha256=SHA256),
        image("elsewhere", ["a fish"]),
    ]
    told = {
        row["uid"]: (row["kind"], row["subject"], row["stated"], row["contradicted_by"])
        for row in found(tmp_path, *rows)
    }
    assert told == {
        uid_of("test", "one"): ("captions", SHA256, "A dog | a pet", "a cat"),
        uid_of("test", "same"): ("captions", SHA256, "a pet | a dog", "a cat"),
        uid_of("test", "other"): ("captions", SHA256, "a cat", "A dog | a pet"),
    }


def test_copies_with_the_same_captions_agree(tmp_path: Path):
    assert found(tmp_path, image("one", sha256=SHA256), image("two", sha256=SHA256)) == []


def test_copies_with_other_licences(tmp_path: Path):
    rows = [image(name, sha256=SHA256, licence=name) for name in ("CC0", "cc0", "CC-BY", "")]
    told = [(row["kind"], row["stated"], row["contradicted_by"]) for row in found(tmp_path, *rows)]
    assert sorted(told) == [
        ("licence", "CC-BY", "CC0"),
        ("licence", "CC0", "CC-BY"),
        ("licence", "cc0", "CC-BY"),
    ]


def test_stock_pictures_do_not_fill_the_table(tmp_path: Path):
    rows = [image(str(number), [f"caption {number:03d} " * 40], sha256=SHA256) for number in range(100)]
    told = found(tmp_path, *rows)
    assert len(told) == 100
    assert all(
        0 < len(row["contradicted_by"]) <= CHARACTERS and len(row["stated"]) <= CHARACTERS for row in told
    )
