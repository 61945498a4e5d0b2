"""Columns told by names and first values."""

import pytest

from stages.collect.sources.guess import MOST_COLUMNS, guess_caption, guess_columns

LINKS = [f"https://a.example/{number}" for number in range(4)]
PICTURES = [f"https://a.example/{number}.jpg?x=1" for number in range(4)]
TEXTS = ["a red bird", "two birds on a roof", "", "the sea"]


def test_the_tables_that_people_share() -> None:
    laion = {
        "SAMPLE_ID": [1, 2],
        "URL": LINKS[:2],
        "TEXT": TEXTS[:2],
        "LICENSE": ["?", "?"],
        "NSFW": ["U", "U"],
    }
    columns = guess_columns(laion)
    assert (columns.url, columns.captions, columns.licence) == ("URL", ("TEXT",), "LICENSE")
    assert columns.passed == ("SAMPLE_ID", "NSFW")
    wit = {
        "page_url": LINKS,
        "image_url": PICTURES,
        "caption_attribution_description": TEXTS,
        "language": ["en"] * 4,
    }
    columns = guess_columns(wit)
    assert (columns.url, columns.captions) == ("image_url", ("caption_attribution_description",))
    assert columns.passed == ("page_url", "language")
    assert "'page_url'" in columns.why["url_column"]


@pytest.mark.parametrize(
    ("head", "url"),
    [
        ({"url": LINKS, "photo": PICTURES}, "photo"),  # pictures by their paths before pages
        ({"link": LINKS, "url": LINKS}, "url"),
        ({"license_url": LINKS, "whatever": LINKS}, "whatever"),
        ({"url": ["x", "y"], "text": TEXTS}, ""),
        ({"url": [None, *LINKS]}, "url"),
        ({"url": ["", "", LINKS[0]]}, "url"),
        ({"url": []}, ""),
        ({}, ""),
    ],
)
def test_the_column_of_urls(head: dict[str, list[object]], url: str) -> None:
    assert guess_columns(head).url == url


@pytest.mark.parametrize(
    ("head", "captions"),
    [
        ({"alt": TEXTS, "caption": TEXTS}, ("caption", "alt")),
        ({"captions": [["a bird", "a red bird"], ["the sea"]]}, ("captions",)),
        ({"blip_caption": TEXTS, "title": TEXTS}, ("blip_caption",)),
        ({"kind": ["bird"] * 4, "said": TEXTS}, ("said",)),
        ({"caption": ["1", "2", "3.5"], "said": TEXTS}, ("said",)),
        ({"caption": ["", None], "kind": ["bird", "bird"]}, ()),
        ({"kind": ["bird", "sea"]}, ()),
    ],
)
def test_the_columns_of_captions(head: dict[str, list[object]], captions: tuple[str, ...]) -> None:
    columns = guess_columns({"url": LINKS, **head})
    assert columns.captions == captions
    assert columns.why["caption_columns"]


def test_what_cannot_be_passed_through_is_named() -> None:
    many = {f"c{number:02d}": [1.0] for number in range(MOST_COLUMNS + 2)}
    columns = guess_columns({"url": LINKS[:1], **many}, ["embedding"])
    assert len(columns.passed) == MOST_COLUMNS
    assert columns.why["columns"].endswith("Left out: 'c40', 'c41', 'embedding'.")


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://10.0.0.7/a.jpg", True),
        ("http://localhost:8000/a.jpg", True),
        ("http://[::1]/a.jpg", True),
        ("http://8.8.8.8/a.jpg", False),
        ("http://a.example/a.jpg", False),
        ("http://2130706433/a.jpg", False),  # is refused as a URL
    ],
)
def test_hosts_that_are_not_public_are_pointed_out(url: str, private: bool) -> None:
    assert ("allow_networks" in guess_columns({"url": [*LINKS, url]}).why) == private


def test_one_column_of_captions() -> None:
    head = {"file_name": ["a.png"], "label": ["bird"], "n": [1]}
    assert guess_caption({**head, "text": ["a bird"]}, ["label", "text"])[0] == "text"
    assert guess_caption(head, ["label", "n"])[0] == "label"
    assert guess_caption(head, ["n"]) == ("", "")
