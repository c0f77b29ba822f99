from __future__ import annotations

import pytest

from bayes_scaling.cli.options import assignments, budgets
from bayes_scaling.errors import InputError


@pytest.mark.parametrize(
    ("texts", "read"),
    [
        (None, {}),
        (["params=Model Size"], {"params": "Model Size"}),
        (["params=Model Size,tokens=D"], {"params": "Model Size", "tokens": "D"}),
        (["params=N", "tokens=D"], {"params": "N", "tokens": "D"}),
        (["loss=loss, final, tokens = D "], {"loss": "loss, final", "tokens": "D"}),
        (["loss=a=b"], {"loss": "a=b"}),
    ],
)
def test_assignments_may_hold_commas_and_equals_signs(texts: list[str] | None, read: dict[str, str]):
    assert assignments(texts, "--columns") == read


@pytest.mark.parametrize("text", ["params", "params=", "=N", "params=N,params=M"])
def test_an_assignment_without_two_sides_or_given_twice_is_refused(text: str):
    with pytest.raises(InputError, match="--columns"):
        assignments([text], "--columns")


def test_budgets_come_by_commas_or_by_repeating():
    assert budgets(["1e21,5.76e23", "2e24"]) == [1e21, 5.76e23, 2e24]
    assert budgets(None) == []
