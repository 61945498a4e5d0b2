"""How a collection is going, in words."""

from collections import Counter

from stages.collect.progress import FALL, MANY, RECENT, CollectionProgress


class Clock:
    """Seconds, as many as the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def count(
    progress: CollectionProgress, clock: Clock, questions: int, reason: str = "", host: str = "a.example"
) -> None:
    for _ in range(questions):
        clock.now += 0.01
        progress.count(host, reason, 0 if reason else 50_000)


def test_speed_success_and_time_left() -> None:
    warnings: list[str] = []
    clock = Clock()
    progress = CollectionProgress(warnings.append, clock)
    assert progress.note() == ""
    progress.expect(1000, Counter({"a.example": 300}))
    count(progress, clock, 360)
    count(progress, clock, 40, "timeout", "b.example")
    note = progress.note()
    assert "images/s, " in note
    assert "90% good" in note
    assert "timeout 40" in note
    assert "worst host b.example 0%" in note
    assert note.endswith("s left")
    assert progress.done() == (400, 1000)
    assert not warnings


def test_the_rates_are_those_of_the_last_seconds() -> None:
    clock = Clock()
    progress = CollectionProgress(print, clock)
    progress.expect(10_000, Counter())
    count(progress, clock, 2000)
    clock.now += 60
    count(progress, clock, 1500)
    assert progress.note().startswith("100 images/s, 5.0 MB/s")


def test_a_falling_success_rate_is_worth_one_warning() -> None:
    warnings: list[str] = []
    clock = Clock()
    progress = CollectionProgress(warnings.append, clock)
    progress.expect(5000, Counter())
    count(progress, clock, 2 * RECENT)
    assert not warnings
    count(progress, clock, int(RECENT * (FALL + 0.3)), "http_too_many_requests")
    count(progress, clock, RECENT, "http_too_many_requests")
    (warning,) = warnings
    assert "has fallen from 100% to" in warning
    assert "http_too_many_requests" in warning


def test_a_steady_failure_rate_is_not() -> None:
    warnings: list[str] = []
    clock = Clock()
    progress = CollectionProgress(warnings.append, clock)
    progress.expect(5000, Counter())
    for number in range(4 * RECENT):
        count(progress, clock, 1, "timeout" if number % 3 else "")
    assert not warnings


def test_a_dominating_host_is_worth_one_warning_in_large_runs() -> None:
    warnings: list[str] = []
    progress = CollectionProgress(warnings.append)
    progress.expect(MANY - 1, Counter({"a.example": MANY - 1}))
    assert not warnings
    for _ in range(2):
        progress.expect(MANY, Counter({"a.example": MANY - 100}))
    (warning,) = warnings
    assert "90% of the URLs are at a.example" in warning
