"""What a set represents: counts that add up, languages as far as texts tell, sentences on what is lacking."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.report.coverage import GREATEST, NOT_STATED, coverage
from stages.collect.report.languages import UNKNOWN, language_of, script_of
from tests.stages.versions import Row, image, write

# Article 1 of the Universal Declaration of Human Rights, first sentence.
SENTENCES = {
    "en": ("All human beings are born free and equal in dignity and rights.", "Latin"),
    "de": ("Alle Menschen sind frei und gleich an Würde und Rechten geboren.", "Latin"),
    "fr": ("Tous les êtres humains naissent libres et égaux en dignité et en droits.", "Latin"),
    "ru": ("Все люди рождаются свободными и равными в своем достоинстве и правах.", "Cyrillic"),
    "zh": ("人人生而自由，在尊严和权利上一律平等。", "Han"),
    "ja": (
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
        "Hiragana",
    ),
    "ar": ("يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.", "Arabic"),
    "el": ("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.", "Greek"),
    "ko": ("모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.", "Hangul"),
}


def told(tmp_path: Path, rows: list[Row], within: list[Row] | None = None) -> dict[str, Any]:
    images = write(tmp_path / "images.parquet", rows)
    index = [write(tmp_path / "index.parquet", within)] if within is not None else []
    return coverage([images], index)


@pytest.mark.parametrize("language", SENTENCES)
def test_languages_and_scripts_of_sentences(language: str):
    text, script = SENTENCES[language]
    assert (language_of(text), script_of(text)) == (language, script)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "a", "IMG_2034.jpg", "DSC0023", "1234", "www.shop.com", "https://example.org/a.jpg", "✓✓✓"],
)
def test_texts_that_do_not_tell(text: str):
    assert language_of(text) == UNKNOWN


def test_file_names_do_not_decide():
    assert (
        language_of("Alle Menschen sind frei geboren DSC_0001.JPG https://example.org/the/dog/is/here")
        == "de"
    )


@given(st.text())
def test_any_text_has_an_answer(text: str):
    assert language_of(text)
    assert script_of(text)


def test_counts_of_a_small_set(tmp_path: Path):
    rows = [
        image("a", [SENTENCES["en"][0]], licence="CC0", width=100, height=50),
        image("b", [SENTENCES["de"][0], SENTENCES["en"][0]], licence=" CC0 ", width=1200, height=1024),
        image("c", [], format="png", width=64, height=64, repairs=["oriented", "grey"]),
        image("d", ["x"], location="folder/d.jpg", source="disk", width=2000, height=10_000),
    ]
    found = told(tmp_path, rows)
    assert json.loads(json.dumps(found)) == found
    assert found["images"] == 4
    assert found["sources"] == {"test": 3, "disk": 1}
    assert found["hosts"] == {"count": 1, "half": 1, "greatest": {"example.org": 3}}
    assert found["licences"] == {"CC0": 2, NOT_STATED: 2}
    assert found["formats"] == {"jpeg": 3, "png": 1}
    assert found["repairs"] == {"grey": 1, "oriented": 1}
    assert found["captions"] == {"1": 2, "0": 1, "2": 1}
    assert found["min_side"] == {
        "below 64": 1,
        "64 to 128": 1,
        "128 to 256": 0,
        "256 to 512": 0,
        "512 to 1024": 0,
        "1024 or more": 2,
    }
    assert [name for name, n in found["megapixels"].items() if n] == ["below 0.1", "1 to 4", "16 or more"]
    assert found["aspect"] == {
        "below 0.5": 1,
        "0.5 to 0.8": 0,
        "0.8 to 1.25": 2,
        "1.25 to 2": 0,
        "2 or more": 1,
    }
    assert found["texts"]["sample"] == 4
    assert found["texts"]["languages"] == {"en": 2, "de": 1, UNKNOWN: 1}
    assert found["texts"]["scripts"] == {"Latin": 4}
    assert found["texts"]["words"] == {"5%": 1, "25%": 1, "50%": 11, "75%": 12, "95%": 12}


def test_a_dataset_counts_its_own(tmp_path: Path):
    rows = [image(name, format=name) for name in ("jpeg", "png", "webp")]
    found = told(tmp_path, rows, within=rows[1:])
    assert (found["images"], found["formats"]) == (2, {"png": 1, "webp": 1})


def test_hosts_that_hold_half(tmp_path: Path):
    counts = {"big.example": 4, "middle.example": 3, **{f"s{number:02d}.example": 1 for number in range(60)}}
    rows = [
        image(f"{host}{number}", location=f"http://{host}/{number}")
        for host, n in counts.items()
        for number in range(n)
    ]
    hosts = told(tmp_path, rows)["hosts"]
    assert hosts["count"] == 62
    assert hosts["half"] == 29  # 4 + 3 + 27 are the first to make 33.5 of 67
    assert list(hosts["greatest"].items())[:3] == [
        ("big.example", 4),
        ("middle.example", 3),
        ("s00.example", 1),
    ]
    assert len(hosts["greatest"]) == GREATEST


def test_names_beyond_the_greatest_are_one_sum(tmp_path: Path):
    rows = [image(str(number), licence=f"licence {number:03d}") for number in range(GREATEST + 7)]
    licences = told(tmp_path, rows)["licences"]
    assert list(licences.items())[-1] == ("others", 7)
    assert sum(licences.values()) == len(rows)


def test_concerns(tmp_path: Path):
    rows = [image(str(number), [SENTENCES["en"][0]]) for number in range(9)] + [image("bare", [])]
    concerns = told(tmp_path, rows)["concerns"]
    assert concerns == [
        "100% of the pictures come from example.org: the set shows what that site shows",
        "100% of the pictures have no stated licence",
        "10% of the pictures have no caption, and will not be trained on",
        "100% of the pictures are less than 256 pixels on their shorter side",
        "100% of the captions whose language can be told are 'en': other languages are hardly represented",
    ]


def test_a_mixed_set_raises_none(tmp_path: Path):
    rows = [
        image(
            f"{language}{number}",
            [text],
            licence="CC0",
            location=f"http://{language}/{number}",
            width=512,
            height=512,
        )
        for language, (text, _) in SENTENCES.items()
        for number in range(2)
    ]
    assert told(tmp_path, rows)["concerns"] == []


def test_an_empty_set_is_told(tmp_path: Path):
    found = told(tmp_path, [])
    assert (found["images"], found["hosts"], found["concerns"]) == (
        0,
        {"count": 0, "half": 0, "greatest": {}},
        [],
    )
