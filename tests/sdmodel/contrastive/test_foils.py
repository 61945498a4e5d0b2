from sdmodel.contrastive.foils import Foils

CAPTIONS = [
    f"a {size} {colour} {shape} on grass"
    for size in ("big", "tiny")
    for colour in ("red", "blue")
    for shape in ("car", "hat")
]


def test_a_foil_differs_in_one_word_of_the_same_kind():
    foils = Foils(CAPTIONS)
    found = set(foils.of("a big red car on grass", 200, (1,)))
    assert found == {"a tiny red car on grass", "a big blue car on grass", "a big red hat on grass"}


def test_foils_are_a_function_of_the_seed():
    foils = Foils(reversed(CAPTIONS))
    assert foils.of(CAPTIONS[0], 5, (3, 4)) == Foils(CAPTIONS).of(CAPTIONS[0], 5, (3, 4))
    assert foils.of(CAPTIONS[0], 50, (3, 4)) != foils.of(CAPTIONS[0], 50, (3, 5))
    assert foils.of(CAPTIONS[0], 0, (3, 4)) == []


def test_where_no_word_fits_the_caption_stays():
    assert Foils(CAPTIONS).of("quite another sentence", 2, (0,)) == ["quite another sentence"] * 2
    assert Foils([]).of("", 1, (0,)) == [""]
