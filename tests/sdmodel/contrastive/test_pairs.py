"""Which captions are equal."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from sdmodel.contrastive.pairs import same_captions

ROW = st.lists(st.integers(0, 3), min_size=4, max_size=4)


@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_equal_ids_are_equal_captions(rows: list[list[int]]):
    expected = [[one == other for other in rows] for one in rows]
    ids = torch.tensor(rows)
    assert same_captions(ids).tolist() == expected
    assert same_captions(ids.view(len(rows), 2, 2)).tolist() == expected
    assert same_captions(torch.cat([ids] * 300, 1)).tolist() == expected
