import pytest

from stages.evaluate.held_out import measured_split, notice


def test_the_test_split_is_taken_before_others():
    assert measured_split(["train", "test", "validation"]) == "test"
    assert measured_split(["train", "validation", "train"]) == "validation"
    assert measured_split(["train"]) == "train"
    with pytest.raises(ValueError, match="the dataset has no rows"):
        measured_split([])


def test_what_stands_in_is_said():
    assert notice("test", given=False) == ""
    assert notice("validation", given=False).endswith("figures are of the validation split instead.")
    assert "seen" in notice("train", given=False)
