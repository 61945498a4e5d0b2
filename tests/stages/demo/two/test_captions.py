import re
from collections import Counter, defaultdict

import pytest

from stages.demo.two.captions import (
    NOVEL_PHRASINGS,
    TRAINING_PHRASINGS,
    caption,
    held_out,
    parse,
    scenes,
    swapped,
    unseen,
)
from stages.demo.two.ceiling import bag, ceiling, ceilings
from stages.demo.two.world import VALUES, TwoGroupAttributes

ALL = list(scenes())
PHRASINGS = range(len(TRAINING_PHRASINGS) + len(NOVEL_PHRASINGS))
EXAMPLE = TwoGroupAttributes("left of", "one", "red", "circle", "two", "blue", "ring")


def test_a_relation_is_said_from_either_side():
    assert caption(EXAMPLE, 0) == "one red circle shape left of two blue ring shapes"
    assert caption(EXAMPLE, 0, turned=True) == "two blue ring shapes right of one red circle shape"
    assert caption(EXAMPLE, 5, turned=True) == "right of one red circle shape, two blue ring shapes"


def test_captions_are_read_back_in_every_phrasing_from_either_side():
    for number, attributes in enumerate(ALL):
        for phrasing in PHRASINGS if number % 20 == 0 else [number % len(PHRASINGS)]:
            for turned in (False, True):
                text = caption(attributes, phrasing, turned)
                assert parse(text) == attributes, text
                assert parse(f" {text.capitalize()}. ") == attributes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a small red circle in the top left on a plain background",
        "one red circle shape left of",
        "one red circle shapes left of two blue ring shapes",
        "two red circle shape left of two blue ring shapes",
        "one red circle shape left of two red ring shapes",
        "one red circle shape left of two blue circle shapes",
        "one mauve circle shape left of two blue ring shapes",
        "one red circle shape left of two blue ring shapes above one pink cross shape",
    ],
)
def test_what_is_no_sentence_of_this_world_is_not_read(text: str):
    assert parse(text) is None


def test_exchanges_between_the_groups_leave_the_very_same_words():
    for attributes in ALL[::23]:
        for phrasing in PHRASINGS:
            for turned in (False, True):
                words = bag(caption(attributes, phrasing, turned))
                for what in ("shape", "colour", "count"):
                    assert bag(caption(swapped(attributes, what), phrasing, turned)) == words


def test_either_group_may_be_named_first():
    for phrasings in (TRAINING_PHRASINGS, NOVEL_PHRASINGS):
        named = Counter(template.index("{a}") < template.index("{b}") for template in phrasings)
        assert min(named[True], named[False]) >= 2


def test_novel_phrasings_use_known_words_in_sentences_of_their_own():
    assert len(TRAINING_PHRASINGS) >= 8
    assert len(NOVEL_PHRASINGS) == 4
    assert not set(TRAINING_PHRASINGS) & set(NOVEL_PHRASINGS)

    def words(phrasings: tuple[str, ...]) -> set[str]:
        return {word for each in phrasings for word in re.findall(r"\w+", each)}

    assert words(NOVEL_PHRASINGS) <= words(TRAINING_PHRASINGS)


def test_unseen_captions_tell_combinations_kept_from_training_in_novel_phrasings():
    drawn = unseen(64, seed=0)
    assert drawn == unseen(64, seed=0)
    assert drawn[:8] == unseen(8, seed=0)
    assert drawn != unseen(64, seed=1)
    assert all(held_out(attributes) and parse(text) == attributes for text, attributes in drawn)
    known = {
        caption(attributes, p, t)
        for _, attributes in drawn
        for p in range(len(TRAINING_PHRASINGS))
        for t in (False, True)
    }
    assert not known & {text for text, _ in drawn}
    sides = Counter(side for text, _ in drawn for side in ("left", "right", "above", "below") if side in text)
    assert len(sides) == 4


def test_a_phrasing_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="phrasing=12"):
        caption(EXAMPLE, len(PHRASINGS))


def test_the_ceiling_of_bags_of_words_is_that_of_all_captions_grouped_by_their_words():
    groups: defaultdict[tuple[str, ...], Counter[TwoGroupAttributes]] = defaultdict(Counter)
    pairs = [
        (caption(attributes, phrasing, turned), attributes)
        for attributes in ALL
        for phrasing in (0, 9)
        for turned in (False, True)
    ]
    for text, attributes in pairs:
        groups[bag(text)][attributes] += 1
    best = sum(max(counts.values()) for counts in groups.values()) / len(pairs)
    assert ceiling([text for text, _ in pairs]) == pytest.approx(best)
    # Half of the scenes have groups of equal count: 2 colours by 2 shapes; the others twice as many.
    assert best == pytest.approx((1 / 4 + 1 / 8) / 2)


def test_ceilings_tell_what_words_alone_say_and_what_their_order():
    captions = [text for text, _ in unseen(200, seed=0)]
    shares = ceilings(captions)
    assert {name: shares[name] for name in ("shape", "colour", "count")} == dict.fromkeys(
        ("shape", "colour", "count"), 1.0
    )
    assert shares["relation"] == pytest.approx(1 / 2)
    assert shares["binding"] == pytest.approx(2 * shares["all"])
    assert 1 / 8 <= shares["all"] <= 1 / 4
    # A single caption is alone in its group, and yet its reader does not know it.
    assert ceiling([caption(EXAMPLE, 0)]) == 1 / 8
    assert ceiling([caption(EXAMPLE, 0).replace("two", "one").replace("shapes", "shape")]) == 1 / 4


@pytest.mark.parametrize("text", ["a red circle", "of red ring two left shapes shape one circle blue"])
def test_captions_of_no_scene_have_no_ceiling(text: str):
    with pytest.raises(ValueError, match="not of the world of two"):
        ceiling([text])
    with pytest.raises(ValueError, match="at least one caption"):
        ceiling([])


def test_captions_are_made_of_few_words():
    words = {
        word
        for attributes in ALL[::7]
        for phrasing in PHRASINGS
        for word in bag(caption(attributes, phrasing))
    }
    assert set(VALUES["colour"] + VALUES["shape"] + VALUES["count"]) <= words
    assert len(words) < 40
