import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdmodel.train.early_stopping import EarlyStopping

ERRORS = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=20)


def after(errors: list[float], early: EarlyStopping) -> EarlyStopping:
    for number, error in enumerate(errors):
        early.update(number, error)
    return early


@given(ERRORS, st.integers(0, 5))
def test_it_stops_when_the_last_errors_were_no_smaller_than_the_least(errors: list[float], patience: int):
    early = after(errors, EarlyStopping(patience))
    finite = [error for error in errors if not math.isnan(error)]
    waited = len(errors) - 1 - errors.index(min(finite)) if finite else len(errors)
    assert early.stopped == (0 < patience <= waited)
    assert early.least == min(finite, default=math.inf)
    assert (early.images, early.error) == ((errors.index(early.least), early.least) if finite else (0, None))


@given(ERRORS, ERRORS)
def test_it_goes_on_from_json(before: list[float], then: list[float]):
    whole, first, second = (EarlyStopping(3) for _ in range(3))
    second.load(json.loads(json.dumps(after(before, first).state(), allow_nan=False)))
    assert after(then, second).state() == after(then, after(before, whole)).state()


def test_what_is_good_enough_ends_it_whatever_the_patience():
    early, again = EarlyStopping(0), EarlyStopping(0)
    assert early.update(0, 0.5)
    assert early.update(8, 0.6, enough=True)
    assert (early.images, early.error, early.least) == (8, 0.6, 0.5)
    again.load(json.loads(json.dumps(early.state())))
    assert early.stopped
    assert again.stopped
    again.load({"least": 0.5, "images": 8, "waited": 0})  # of before that was told
    assert not again.stopped


@pytest.mark.parametrize("patience", [1, 4])
def test_equal_errors_are_not_smaller(patience: int):
    early = EarlyStopping(patience)
    early.update(0, 0.5)
    for number in range(patience):
        assert not early.stopped
        early.update(number, 0.5)
    assert early.stopped


def test_gone_on_with_after_it_stopped_it_waits_anew():
    early = after([0.5, 0.6, 0.7], EarlyStopping(2))
    assert early.stopped
    early.go_on()
    assert (early.stopped, early.least, early.images) == (False, 0.5, 0)
    assert not early.update(3, 0.6)
    assert not early.stopped
    waiting = after([0.5, 0.6], EarlyStopping(2))
    waiting.go_on()
    assert waiting.waited == 1
