from collections import Counter

import numpy as np
import pytest

from stages.demo.captions import parse
from stages.demo.defects import (
    BLOCK,
    COPIES,
    LABELS,
    PLANTED,
    UNCAPTIONED,
    WEB_DEFECTS,
    PlannedRow,
    Rates,
    differing,
    plan,
)
from stages.demo.world import held_out

RATES = Rates()


@pytest.fixture(scope="module")
def block() -> list[PlannedRow]:
    return plan(0, 0, BLOCK, RATES)


def test_rows_add_up_to_the_rates(block: list[PlannedRow]):
    counts = Counter(row.defect for row in block)
    assert set(counts) == {"", *PLANTED}
    for name in PLANTED:
        assert abs(counts[name] - getattr(RATES, name) * BLOCK) < 2
    assert sum(counts.values()) == BLOCK
    assert [row.row for row in block] == list(range(BLOCK))


def test_a_block_is_a_function_of_seed_and_number(block: list[PlannedRow]):
    assert plan(0, 0, BLOCK, RATES) == block
    assert not {row.path for row in plan(1, 0, BLOCK, RATES)} & {row.path for row in block}
    assert not {row.path for row in plan(0, 1, BLOCK, RATES)} & {row.path for row in block}


def test_no_picture_and_no_caption_shows_a_combination_kept_from_training(block: list[PlannedRow]):
    for row in block:
        described = parse(row.caption)
        assert not held_out(row.attributes)
        assert described is None or not held_out(described)


def test_good_rows_say_what_they_show(block: list[PlannedRow]):
    for row in block:
        if row.defect not in ("swapped_caption", "attribute_caption", "short_caption", *UNCAPTIONED):
            assert parse(row.caption) == row.attributes


def test_copies_refer_to_good_rows(block: list[PlannedRow]):
    for row in block:
        if row.defect in COPIES:
            original = block[row.refers_to]
            assert original.defect == ""
            assert (row.picture, row.attributes) == (original.row, original.attributes)
            assert (row.path == original.path) == (row.defect == "duplicate_url")
        elif row.defect != "swapped_caption":
            assert (row.refers_to, row.picture) == (-1, row.row)


def test_copies_differ_from_their_originals_as_their_names_say(block: list[PlannedRow]):
    for row in block:
        original = block[row.refers_to]
        if row.defect == "exact_copy":
            assert (row.side, row.encoding) == (original.side, original.encoding)
        if row.defect == "reencoded_copy":
            assert row.side == original.side
            assert row.encoding != original.encoding
            assert row.encoding.format != "png"
        if row.defect == "resized_copy":
            assert max(row.side, original.side) / min(row.side, original.side) >= 1.15
        assert 64 <= row.side <= 160


def test_swapped_captions_are_exchanged_between_pictures_that_differ(block: list[PlannedRow]):
    swapped = [row for row in block if row.defect == "swapped_caption"]
    assert swapped
    for row in swapped:
        partner = block[row.refers_to]
        assert partner.refers_to == row.row
        assert parse(row.caption) == partner.attributes
        assert differing(row.attributes, partner.attributes) > 1


def test_a_caption_wrong_in_one_attribute_is_wrong_in_one(block: list[PlannedRow]):
    wrong = [row for row in block if row.defect == "attribute_caption"]
    assert wrong
    for row in wrong:
        described = parse(row.caption)
        assert described is not None
        assert differing(described, row.attributes) == 1


def test_short_captions_are_a_word_that_names_nothing(block: list[PlannedRow]):
    short = [row.caption for row in block if row.defect == "short_caption"]
    assert short
    assert all(len(caption.split()) == 1 and parse(caption) is None for caption in short)


@pytest.mark.parametrize("name", UNCAPTIONED)
def test_pictures_without_captions_are_good_ones_that_no_copy_shows(block: list[PlannedRow], name: str):
    rows = [row for row in block if row.defect == name]
    assert not any(row.caption.strip() for row in rows)
    assert {row.labelled for row in rows} == {name == "labels_only"}
    assert not {row.row for row in rows} & {row.refers_to for row in block}


def test_labels_are_those_of_the_picture_and_half_of_the_captioned_rows_have_some(block: list[PlannedRow]):
    for row in block:
        shown = row.attributes.shape, row.attributes.colour
        assert tuple(row.labels.values()) == (shown if row.labelled else ("", ""))
        assert tuple(row.labels) == LABELS
    captioned = [row.labelled for row in block if row.defect not in UNCAPTIONED]
    assert 0.4 < np.mean(captioned) < 0.6


def test_pictures_without_captions_change_nothing_else_of_the_plan(block: list[PlannedRow]):
    captioned = plan(0, 0, BLOCK, Rates(**dict.fromkeys(UNCAPTIONED, 0)))
    for row, other in zip(block, captioned, strict=True):
        if row.defect in UNCAPTIONED:
            assert (other.defect, parse(other.caption)) == ("", row.attributes)
            assert (row.path, row.side, row.encoding) == (other.path, other.side, other.encoding)
        else:
            assert row == other


def test_attributes_and_formats_are_spread(block: list[PlannedRow]):
    formats = Counter(row.encoding.format for row in block)
    assert formats["jpeg"] > formats["webp"] > 50
    assert formats["png"] > 50
    assert np.ptp([row.side for row in block]) > 80


def test_rates_that_leave_nothing_good_are_refused():
    with pytest.raises(ValueError, match="at most"):
        Rates(html=0.7)
    with pytest.raises(ValueError, match="at least 0"):
        Rates(html=-0.1)


def test_what_servers_do_changes_nothing_else_of_the_plan():
    captioned = dict.fromkeys(UNCAPTIONED, 0)  # which are taken from what is left
    block = plan(0, 0, BLOCK, Rates(**captioned))
    quiet = plan(0, 0, BLOCK, Rates(**captioned, **dict.fromkeys(WEB_DEFECTS, 0)))
    for row, other in zip(block, quiet, strict=True):
        if row.defect in WEB_DEFECTS:
            assert other.defect == ""
            assert (row.caption, row.attributes, row.side) == (other.caption, other.attributes, other.side)
        else:
            assert row == other


def test_a_short_table_has_no_placeholder_and_little_of_what_servers_do():
    planted = Counter(row.defect for row in plan(0, 0, 140, Rates()))
    assert not set(planted) & set(WEB_DEFECTS)
    some = Counter(row.defect for row in plan(0, 0, 140, Rates(placeholder=0.05)))
    assert some["placeholder"] == 0  # 7 would be copies like others
    assert Counter(row.defect for row in plan(0, 0, 140, Rates(placeholder=0.1)))["placeholder"] == 14
