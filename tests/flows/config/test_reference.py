"""The page of all config keys is what the dataclasses say."""

from pathlib import Path

from flows.config.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "the page is of another config: `make docs` writes it anew"
    )


def test_a_key_is_shown_with_type_default_limits_and_text():
    text = page()
    assert (
        "| `caption_dropout` | number | `0.1` | at least 0 and at most 1 | Share of captions replaced" in text
    )
    assert (
        "| `batch` | whole number | `128` | at least 1 and at most 1,000,000,000,000 | Images in a batch."
        in text
    )
    assert "[`unet`](#train-unet) | block" in text
    assert '<a id="train-unet"></a>' in text
