from __future__ import annotations

import contextlib
import operator
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_scaling.errors import InputError
from bayes_scaling.runs.where import select

TEXTS = pd.DataFrame(
    {
        "params": ["70B", "1e9", "2000000000", ""],
        "tokens": ["9e8", "1e9", "3e10", "1e9"],
        "recipe": ["c4", "pile", "", "c4"],
        "date": ["2024-01-05", "2023-12-31", "", "2024-02-01"],
        "Model Size": ["1", "2", "3", "4"],
        "good": ["True", "false", "", "TRUE"],
        "a`b": ["1", "2", "3", "4"],
    }
)
NUMBERS = pd.DataFrame(
    {"params": [70e9, 1e9, 2e9, np.nan], "step": [1, 2, 3, 4], "good": [True, False, False, True]}
)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("params > 1e9", [0, 2]),
        ("params >= 1e9", [0, 1, 2]),
        ('params > "1B"', [0, 2]),
        ('"1B" < params < "10B"', [2]),
        ('params == "1B"', [1]),
        ("params == 1000000000", [1]),
        ('params != "1B"', [0, 2, 3]),
        ("params != 1e9", [0, 2, 3]),
        ('params == ""', [3]),
        ('params != "" and recipe != ""', [0, 1]),
        ("params in ['1B', 2e9]", [1, 2]),
        ("params not in ('1B', 2e9)", [0, 3]),
        ("recipe in []", []),
        ("params > tokens", [0]),  # as numbers: "70B" < "9e8" as texts
        ("params == tokens", [1]),
        ("params == `params`", [0, 1, 2]),  # blank is like nothing
        ("not params > 1e9", [1, 3]),
        ("params > 1e9 or recipe == 'pile'", [0, 1, 2]),
        ("(params > 1e9) & (recipe == 'c4') | ~(tokens < 2e9)", [0, 2]),
        ("params / tokens > 50", [0]),
        ("-params < -1e9", [0, 2]),
        ("params * 2 - 1 + +1 == '2B' * 1", [1]),
        ("recipe == 'c4'", [0, 3]),
        ("'c4' == recipe", [0, 3]),
        ("recipe < 'd'", [0, 3]),
        ("date >= '2024-01-01'", [0, 3]),
        ("'2024-01-01' > date", [1]),
        ("`Model Size` >= 3", [2, 3]),
        ("recipe == '`Model Size`'", []),
        ("good == True", [0, 3]),
        ("good == False", [1]),
        ("good != True", [1, 2]),
        ("True", [0, 1, 2, 3]),
        ("1 > 2", []),
        ("'a' == 'a'", [0, 1, 2, 3]),
        ("(params > 1e9) == (recipe == 'c4')", [0, 1]),
        ("params / 0 > 1", [0, 1, 2]),
        ("params > 1e9\n", [0, 2]),
    ],
)
def test_text_columns(expression: str, rows: list[int]) -> None:
    mask = select(TEXTS, expression)
    assert mask.index.equals(TEXTS.index)
    assert mask.dtype == bool
    assert np.flatnonzero(mask).tolist() == rows


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ('params > "1B"', [0, 2]),
        ("params != 1e9", [0, 2, 3]),
        ("params == ''", [3]),
        ("'' != params", [0, 1, 2]),
        ("good", [0, 3]),
        ("not good and step < 3", [1]),
        ("good == True", [0, 3]),
        ("1 < step <= 3 < params", [1, 2]),
        ("step in {1, '4'}", [0, 3]),
    ],
)
def test_number_and_truth_columns(expression: str, rows: list[int]) -> None:
    assert np.flatnonzero(select(NUMBERS, expression)).tolist() == rows


@pytest.mark.parametrize(
    ("expression", "fragment"),
    [
        ("parms > 1", "there is no column 'parms'; did you mean 'params'?"),
        ("`Model size` > 1", "there is no column 'Model size'; did you mean 'Model Size'?"),
        ("`Model Size`.max() > 1", "'`Model Size`.max()': is not allowed"),
        ("__import__('os').system('true')", "is not allowed"),
        ("params.values > 1", "'params.values': is not allowed"),
        ("params[0] > 1", "'params[0]': is not allowed"),
        ("(lambda: 1) == 1", "'lambda: 1': is not allowed"),
        ("f'{params}' == 'x'", "is not allowed"),
        ("params ** 9 > 1", "'params ** 9': is not allowed"),
        ("params // 2 > 1", "'params // 2': is not allowed"),
        ("[x for x in params] == 1", "is not allowed"),
        ("params is tokens", "only < <= > >= == != in and not in compare"),
        ("params == None", "'None': is not allowed"),
        ("params == b'x'", "is not allowed"),
        ("params == 3j", "is not allowed"),
        ("recipe in 'c4'", "in needs a list"),
        ("params", "'params': is no condition"),
        ("'text'", "is no condition"),
        ("params > 1e9 & tokens > 1e9", "put comparisons in () beside & |"),
        ("params and tokens", "'params': is no condition"),
        ("recipe > 3", "3 problems\n  row 1, column recipe: 'c4' is not a number"),
        ("recipe == 3", "row 2, column recipe: 'pile' is not a number"),
        ("recipe == True", "row 1, column recipe: 'c4' is neither true nor false"),
        ("params == True", "is neither true nor false"),
        ("1 == True", "only a column of true and false"),
        ("True < 2", "true and false are no numbers"),
        ("params > 'c4' * 2", "compares a number with 'c4', which is none"),
        ("params > 1e999", "is beyond what a float can hold"),
        ("params > " + "9" * 400, "is beyond what a float can hold"),
        ("", "cannot be read"),
        ("params >", "cannot be read"),
        ("params = 3", "cannot be read"),
        ("`params > 3", "cannot be read"),
        ("params > 3; tokens > 3", "cannot be read"),
        ("(" * 500 + ")" * 500, "cannot be read"),
        ("params > 3\x00", "cannot be read"),
        ("params == '\ud800'", ""),
        ("1if 1else 1", "cannot be read"),
        ("not " * 480 + "True", "is nested more than 50 deep"),
        ("~" * 1900 + "True", ""),
        ("params > " + "-" * 1900 + "1", ""),
        ("params > 1" + "+1" * 900, "is nested more than 50 deep"),
        ("params > 1" + " " * 2000, "at most 2,000 characters"),
        (3, "must be a text"),
    ],
)
def test_anything_else_is_refused(expression: str, fragment: str) -> None:
    with pytest.raises(InputError) as caught:
        select(TEXTS, expression)
    assert fragment in str(caught.value)
    assert str(caught.value).startswith("where ")


def test_a_column_of_numbers_is_not_compared_with_words() -> None:
    with pytest.raises(InputError, match="compares a number with 'many', which is none"):
        select(NUMBERS, "params > 'many'")


def test_cells_are_read_only_where_the_answer_is_open() -> None:
    table = pd.DataFrame({"loss": ["3", "x", "2"], "status": ["done", "failed", "done"]})
    assert select(table, "status == 'done' and loss < 3").tolist() == [False, False, True]
    assert select(table, "(status == 'failed') | (loss < 3)").tolist() == [False, True, True]
    with pytest.raises(InputError, match="row 2, column loss: 'x' is not a number"):
        select(table, "loss < 3 and status == 'done'")
    with pytest.raises(InputError, match="row 2, column loss: 'x' is not a number"):
        select(table, "status == 'failed' and loss < 3")


def test_wide_expressions_are_no_deep_ones() -> None:
    assert select(TEXTS, " or ".join(["params > 1e9"] * 100)).sum() == 2


def test_an_empty_table_has_an_empty_answer() -> None:
    assert select(TEXTS.iloc[:0], "params > 3 and recipe == 'c4'").tolist() == []


ORDERS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
CELLS = st.one_of(st.integers(-3, 3), st.floats(-1e20, 1e20), st.just(np.nan))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), st.data(), st.booleans())
def test_random_comparisons_agree_with_numpy(
    cells: list[tuple[float, float]], data: st.DataObject, text: bool
) -> None:
    a, b = np.array(cells, dtype=float).T
    table = pd.DataFrame({"a": a, "b": b})
    if text:
        table = table.map(lambda cell: "" if np.isnan(cell) else repr(cell)).astype(str)
    numbers = st.one_of(st.integers(-3, 3), st.floats(-1e20, 1e20))
    sides = st.one_of(
        st.sampled_from(
            [("a", a), ("b", b), ("a - b", a - b), ("-a * 2", -a * 2), ("(a + b) / 2", (a + b) / 2)]
        ),
        numbers.map(lambda number: (repr(number), np.full(len(a), float(number)))),
    )
    texts, masks = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        (left, left_value), (right, right_value) = data.draw(sides), data.draw(sides)
        sign = data.draw(st.sampled_from(sorted(ORDERS)))
        negated = data.draw(st.booleans())
        mask = ORDERS[sign](left_value, right_value)
        texts.append(f"{'not ' if negated else ''}({left} {sign} {right})")
        masks.append(~mask if negated else mask)
    if data.draw(st.booleans()):
        assert select(table, " and ".join(texts)).tolist() == np.logical_and.reduce(masks).tolist()
    else:
        assert select(table, " or ".join(texts)).tolist() == np.logical_or.reduce(masks).tolist()


WORDS = (
    "params recipe good ` 1 '1B' '' ( ) [ ] , < == != in not and or & | ~ + - * / True None x . := if else"
)
PIECES = st.sampled_from(["`Model Size`", *WORDS.split()])


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=9).map(" ".join)))
def test_random_text_selects_or_is_refused(expression: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for table in (TEXTS, NUMBERS):
            with contextlib.suppress(InputError):
                assert len(select(table, expression)) == len(table)
