import pandas as pd

from stages.evaluate.conditions import as_lists
from stages.evaluate.prompts import Prompt, prompts_of


def said(*captions: list[str]) -> list[list[dict[str, str]]]:
    return [[{"text": text} for text in own] for own in captions]


INDEX = pd.DataFrame(
    {
        "uid": ["d", "a", "c", "b"],
        "split": ["test", "test", "train", "test"],
        "captions": said(["fourth", "other"], ["first"], ["of training"], []),
    }
)


def test_captions_come_from_the_test_split_in_the_order_of_uids():
    prompts = prompts_of(INDEX, ["mine"], ["the oracle's"], 10, 0)
    assert [(prompt.group, prompt.caption) for prompt in prompts] == [
        ("test", "first"),
        ("test", "fourth"),
        ("new", "mine"),
        ("oracle", "the oracle's"),
    ]
    assert [prompt.caption for prompt in prompts_of(INDEX, (), (), 1, 0)] == ["first"]


def test_noise_belongs_to_a_caption_wherever_it_stands_and_to_how_often_it_came():
    seeds = {prompt.caption: prompt.seed for prompt in prompts_of(INDEX, ["x", "y"], (), 0, 0)}
    turned = {prompt.caption: prompt.seed for prompt in prompts_of(INDEX, ["y", "x"], (), 10, 0)}
    assert {caption: turned[caption] for caption in seeds} == seeds
    first, second = prompts_of(INDEX, ["x", "x"], (), 0, 0)
    assert (first.seed, second.seed) == (seeds["x"], second.seed)
    assert second.seed != first.seed
    assert prompts_of(INDEX, ["x"], (), 0, 1) != [Prompt("x", seeds["x"], "new")]
    assert all(0 <= seed < 2**63 for seed in seeds.values())


def test_captions_of_the_dataset_come_with_what_else_their_rows_have():
    index = INDEX.assign(
        colour=["red", "green", "red", None], tags=[["a", "b"], [], None, ["z"]], score=[0.5, "7", 0.1, None]
    )
    known = [
        {"kind": "size", "name": "size"},
        {"kind": "number", "name": "score", "least": 0.0, "most": 1.0},
        {"kind": "class", "name": "colour", "classes": ["blue", "red"], "tags": False},
        {"kind": "class", "name": "tags", "classes": ["b"], "tags": True},
        {"kind": "class", "name": "elsewhere", "classes": ["b"], "tags": False},
    ]
    prompts = prompts_of(index, ["mine"], (), 10, 0, known=known)
    assert [(prompt.caption, dict(prompt.conditions)) for prompt in prompts] == [
        ("first", {"tags": ()}),
        ("fourth", {"score": 0.5, "colour": "red", "tags": ("b",)}),
        ("mine", {}),
    ]
    assert as_lists([prompt.conditions for prompt in prompts]) == {
        "tags": [(), ("b",), None],
        "score": [None, 0.5, None],
        "colour": [None, "red", None],
    }
    bare = index.assign(captions=[[]] * 4)
    assert [prompt.conditions for prompt in prompts_of(bare, (), (), 10, 0, known=known[2:3])] == [
        (),
        (),
        (("colour", "red"),),
    ]
