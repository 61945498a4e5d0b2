from hypothesis import given, settings
from hypothesis import strategies as st

from stages.artifacts.speed import WINDOW_SECONDS, Speed


@settings(max_examples=50)
@given(rate=st.floats(0.01, 1e4), step=st.floats(0.05, 300), steps=st.integers(2, 100))
def test_a_steady_pace_is_the_speed_however_often_it_is_counted(rate: float, step: float, steps: int) -> None:
    speed = Speed()
    total = round(rate * step * steps) + 1
    for number in range(steps + 1):
        speed.count(100 + number * step, round(rate * step * number), total)
    measured = speed.per_second(100 + steps * step)
    least = min(WINDOW_SECONDS, steps * step)
    assert abs((measured or 0.0) - rate) <= 2 / least + 1e-6 * rate  # counts are whole


def test_nothing_done_has_no_speed() -> None:
    speed = Speed()
    assert speed.per_second(1.0) is None
    speed.count(1.0, 7, 10)
    assert speed.per_second(1.0) is None
    assert speed.per_second(50.0) is None, "what was there at the beginning was not done meanwhile"
    speed.count(51.0, 9, 10)
    assert speed.per_second(51.0) == 2 / 50


def test_what_stopped_slows_down() -> None:
    speed = Speed()
    speed.count(0.0, 0, 100)
    speed.count(10.0, 50, 100)
    assert speed.per_second(10.0) == 5.0
    assert speed.per_second(50.0) == 1.0


def test_other_work_begins_anew() -> None:
    for done, total in ((0, 100), (60, 70)):
        speed = Speed()
        speed.count(0.0, 0, 100)
        speed.count(10.0, 50, 100)
        speed.count(20.0, done, total)
        assert speed.per_second(20.0) is None
        speed.count(30.0, done + 5, total)
        assert speed.per_second(30.0) == 0.5
