import pytest

from dashboard.takedowns.forbidden import Forbidden
from stages.takedown.records import Takedown

UID, SHA256 = "a" * 32, "b" * 64
RECORDS = [
    Takedown(1, "", "", (), ("https://one.example/a.jpg",), (UID,), (SHA256,), ()),
    Takedown(2, "", "", (), (), (UID,), (), ("two.example", "[2001:db8::1]")),
]


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ({"uid": UID}, 1),
        ({"sha256": SHA256}, 1),
        ({"location": "https://one.example/a.jpg"}, 1),
        ({"location": "https://one.example/b.jpg"}, None),
        ({"location": "https://two.example/"}, 2),
        ({"location": "http://www.two.example:8080/x?y"}, 2),
        ({"location": "https://nottwo.example/"}, None),
        ({"location": "https://[2001:db8::1]:80/"}, 2),
        ({"location": "two.example/local.png"}, None),
        ({"uid": "c" * 32, "sha256": "d" * 64, "location": ""}, None),
    ],
)
def test_a_picture_is_forbidden_under_any_of_its_names(names: dict[str, str], number: int | None):
    assert Forbidden.of(RECORDS).takedown(**names) == number


def test_nothing_is_forbidden_where_nothing_was_taken_down():
    assert Forbidden.of([]).takedown(uid="", sha256="", location="") is None
