"""Limits of size refuse the same pictures in Python and in SQL."""

import duckdb
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.image.limits import BYTE_RULES, SIDE_RULES, SIZES, ImageLimits, Size, refusal

SIDES = st.one_of(st.integers(1, 60), st.integers(1, 2**31 - 1))


@settings(max_examples=60, deadline=None)
@given(
    st.builds(Size, SIDES, SIDES, st.integers(0, 2**40)),
    st.builds(
        ImageLimits,
        min_side=st.integers(1, 60),
        max_pixels=st.integers(1, 3600),
        max_aspect=st.floats(1, 60),
        max_bytes=st.integers(1, 2**40),
        drop_blank=st.booleans(),
    ),
)
@example(
    Size(11, 10, 5), ImageLimits(min_side=10, max_pixels=110, max_aspect=1.1, max_bytes=5, drop_blank=True)
)
def test_sql_and_python_agree(size: Size, limits: ImageLimits):
    rules = (*SIDE_RULES, *BYTE_RULES)
    with duckdb.connect() as db:
        db.execute("CREATE TABLE pictures (width INT, height INT, length BIGINT)")
        db.execute("INSERT INTO pictures VALUES (?, ?, ?)", [size.width, size.height, size.length])
        refusing = [
            rule
            for rule in rules
            if db.execute(
                f"SELECT {rule.condition} FROM ({SIZES} FROM pictures)", {rule.key: getattr(limits, rule.key)}
            ).fetchall()
            == [(True,)]
        ]
    assert refusing == [rule for rule in rules if rule.refuses(size, limits)]
    assert refusal(rules, size, limits) == next(iter(refusing), None)
