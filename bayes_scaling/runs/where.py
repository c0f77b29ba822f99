"""Select rows of a table by a small expression, which is read as data: no code in it is ever run."""

from __future__ import annotations

import ast
import dataclasses
import math
import operator
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.quantities import parse_quantity, shorten
from bayes_scaling.runs.cells import PLACE, is_blank, refuse, row_names, to_numbers, to_text

MAX_LENGTH = 2000
MAX_DEPTH = 50

_ORDER: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUAL: dict[type, Callable[[Any, Any], Any]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`([^`]+)`""")


@dataclass(frozen=True)
class _Texts:
    """A column whose cells are not all numbers, or not known to be."""

    name: str
    cells: pd.Series


@dataclass(frozen=True)
class _Question:
    """What an expression is asked of: the table, the text, and the names that stand for quoted columns."""

    table: pd.DataFrame
    expression: str
    quoted: dict[str, str]

    @property
    def place(self) -> str:
        return f"where {shorten(self.expression, 80)}"

    def refused(self, node: ast.AST, why: str) -> InputError:
        piece = ast.unparse(node)
        for name, column in self.quoted.items():
            piece = piece.replace(name, f"`{column}`")
        return InputError(f"{self.place}: {shorten(piece)}: {why}")


def select(table: pd.DataFrame, expression: str) -> pd.Series:
    """Tell for each row of a table whether an expression holds.

    Parameters
    ----------
    table : DataFrame
        Any table; cells may be numbers or texts.
    expression : str
        Comparisons (`<`, `<=`, `>`, `>=`, `==`, `!=`, chained too, `in` and `not in` a list) of columns,
        numbers and texts, joined by `and`, `or`, `not` (or `&`, `|`, `~` between parentheses), with
        `+`, `-`, `*`, `/` on numbers. A column is written by its name, in backticks if that holds blanks
        or signs; a text in quotes.

    Returns
    -------
    Series of bool, with the index of `table`

    Raises
    ------
    InputError
        If the expression is anything else, names an unknown column, or compares with a number a
        column with a cell that is none; all such cells at once.

    Notes
    -----
    Numbers are compared where one side is a number, or where texts are ordered and one is a quantity:
    `params > "1B"`. A text equals a cell that holds the same text, or the same quantity: `params == "1B"`
    finds 1e9. A blank cell equals the empty text and nothing else, is above and below nothing, and so
    `!=` and `not in` hold for it. `and` and `or` read a cell only where what stands before leaves the
    answer open: `status == "done" and loss < 3` minds no words among the losses of other runs.
    """
    if not isinstance(expression, str) or len(expression) > MAX_LENGTH:
        raise InputError(f"where must be a text of at most {MAX_LENGTH:,} characters")
    prefix = "quoted"
    while prefix in expression:
        prefix += "_"
    quoted: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        quoted[f"{prefix}{len(quoted)}_"] = match[1]
        return f" {prefix}{len(quoted) - 1}_ "

    text = _QUOTED.sub(stand_in, expression).strip()
    # Parts of the table keep the names of its rows.
    named = table.set_axis(pd.Index(row_names(table), name=PLACE))
    question = _Question(named, expression, quoted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        example = 'write such as params > "1B" and loss < 3, quantities such as 1B in quotes'
        raise InputError(f"{question.place}: cannot be read ({reason}); {example}") from None
    if _depth(node) > MAX_DEPTH:
        raise InputError(f"{question.place}: is nested more than {MAX_DEPTH} deep; shorten it")
    with np.errstate(all="ignore"):
        mask = _condition(node, question)
    return pd.Series(np.broadcast_to(mask, len(table)).copy(), index=table.index, dtype=bool)


def _depth(node: ast.AST) -> int:
    deepest, level = 0, [node]
    while level:
        deepest += 1
        level = [child for parent in level for child in ast.iter_child_nodes(parent)]
    return deepest


def _condition(node: ast.expr, question: _Question) -> Any:
    """Evaluate a piece that must be true or false in each row."""
    match node:
        case ast.BoolOp(op=op, values=values):
            return _joined(values, isinstance(op, ast.And), question)
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as sign, right=right):
            return _joined([left, right], isinstance(sign, ast.BitAnd), question)
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            return np.logical_not(_condition(operand, question))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [left, *comparators]
            links = zip(ops, sides[:-1], sides[1:], strict=True)
            pairs = [_compare(node, op, one, other, question) for op, one, other in links]
            return np.logical_and.reduce(np.broadcast_arrays(*pairs))
    value = _value(node, question)
    if isinstance(value, bool | np.bool_) or (isinstance(value, np.ndarray) and value.dtype == bool):
        return value
    raise question.refused(
        node, "is no condition; compare it, such as loss < 3 (and put comparisons in () beside & |)"
    )


def _joined(parts: list[ast.expr], all_of_them: bool, question: _Question) -> np.ndarray:
    """Join conditions by and, or else by or; each reads only the rows that those before it left open."""
    mask = np.full(len(question.table), all_of_them)
    for part in parts:
        rows = np.flatnonzero(mask == all_of_them)
        mask[rows] = _condition(part, dataclasses.replace(question, table=question.table.iloc[rows]))
    return mask


def _compare(node: ast.AST, op: ast.cmpop, one: ast.expr, other: ast.expr, question: _Question) -> Any:
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(other, ast.List | ast.Tuple | ast.Set):
            raise question.refused(node, "in needs a list, such as recipe in ['c4', 'pile']")
        left = _value(one, question)
        matches = [_equal(node, left, _value(item, question), operator.eq, question) for item in other.elts]
        found = np.logical_or.reduce(np.broadcast_arrays(False, *matches))
        return found if isinstance(op, ast.In) else ~found
    left, right = _value(one, question), _value(other, question)
    if type(op) in _EQUAL:
        return _equal(node, left, right, _EQUAL[type(op)], question)
    if type(op) not in _ORDER:
        raise question.refused(node, "only < <= > >= == != in and not in compare")
    return _order(node, left, right, _ORDER[type(op)], question)


def _equal(
    node: ast.AST, left: Any, right: Any, compare: Callable[[Any, Any], Any], question: _Question
) -> Any:
    if _is_truth(left) or _is_truth(right):
        return compare(_truths(node, left, question), _truths(node, right, question))
    if isinstance(left, str | _Texts) and isinstance(right, str | _Texts):
        # A cell that is no number is unlike every quantity, which is no reason to refuse it here.
        (one, one_number), (two, two_number) = (_texts(side) for side in (left, right))
        literal = isinstance(left, str) or isinstance(right, str)
        same = ((one == two) & (literal | (one != ""))) | (one_number == two_number)
        return same if compare is operator.eq else ~same
    for blank, cells in ((left, right), (right, left)):
        if isinstance(blank, str) and not blank.strip():
            return compare(np.isnan(cells), True)
    return compare(_numbers(node, left, question), _numbers(node, right, question))


def _order(
    node: ast.AST, left: Any, right: Any, compare: Callable[[Any, Any], Any], question: _Question
) -> Any:
    # Words are ordered only beside a word in quotes: two columns of a file are texts, and mean numbers.
    words = any(isinstance(side, str) and not _is_quantity(side) for side in (left, right))
    if words and isinstance(left, str | _Texts) and isinstance(right, str | _Texts):
        one, two = _texts(left)[0], _texts(right)[0]
        return compare(one, two).astype(bool) & (one != "") & (two != "")
    return compare(_numbers(node, left, question), _numbers(node, right, question))


def _texts(side: str | _Texts) -> tuple[np.ndarray, np.ndarray]:
    """Read one side of a comparison of texts: the texts, and the numbers in them or NaN."""
    cells = pd.Series([side], dtype=object) if isinstance(side, str) else side.cells
    return np.array([to_text(cell) for cell in cells], dtype=object), to_numbers(cells, [])


def _value(node: ast.expr, question: _Question) -> Any:
    """Evaluate a piece to a float, text or truth, or to a column of one of these."""
    match node:
        case ast.Constant(value=bool() | str() as value):
            return value
        case ast.Constant(value=int() | float() as number):
            if abs(number) > 1.7e308:
                raise question.refused(node, "is beyond what a float can hold")
            return np.float64(number)
        case ast.Name(id=name):
            return _column(question.quoted.get(name, name), question)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
            value = _numbers(node, _value(operand, question), question)
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            one, two = (_numbers(node, _value(side, question), question) for side in (left, right))
            return _ARITHMETIC[type(op)](one, two)
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not() | ast.Invert()):
            return _condition(node, question)
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
            return _condition(node, question)
    raise question.refused(node, "is not allowed; only comparisons, and, or, not, + - * / and lists are")


def _column(name: str, question: _Question) -> Any:
    names = [str(column) for column in question.table.columns]
    if name not in names:
        raise InputError(f"{question.place}: there is no column {name!r}{did_you_mean(name, names)}")
    cells = question.table.iloc[:, names.index(name)]
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind == "b":
        return cells.to_numpy()
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iuf":
        return cells.to_numpy(float)
    return _Texts(name, cells)


def _numbers(node: ast.AST, side: Any, question: _Question) -> Any:
    """Read one side of a comparison of numbers."""
    if _is_truth(side):
        raise question.refused(node, "true and false are no numbers")
    if isinstance(side, str):
        if not _is_quantity(side):
            raise question.refused(node, f"compares a number with {shorten(side)}, which is none")
        return np.float64(parse_quantity(side))
    if isinstance(side, _Texts):
        problems: list[tuple[int, str]] = []
        numbers = to_numbers(side.cells, problems)
        rows = row_names(question.table) if problems else []
        refuse(question.place, (f"{rows[row]}, column {side.name}: {text}" for row, text in problems))
        return numbers
    return side


def _truths(node: ast.AST, side: Any, question: _Question) -> Any:
    """Read one side of a comparison with true or false; blanks are NaN, which equals neither."""
    if _is_truth(side):
        return side if isinstance(side, np.ndarray) else np.float64(side)
    if not isinstance(side, _Texts):
        raise question.refused(node, "only a column of true and false compares with these")
    known = {"true": 1.0, "false": 0.0, "": math.nan}
    texts = [to_text(cell).lower() for cell in side.cells]
    rows = row_names(question.table)
    wrong = [i for i, text in enumerate(texts) if text not in known]
    cells = (f"{rows[i]}, column {side.name}: {shorten(texts[i])} is neither true nor false" for i in wrong)
    refuse(question.place, cells)
    return np.array([known[text] for text in texts])


def _is_truth(side: Any) -> bool:
    return isinstance(side, bool | np.bool_) or (isinstance(side, np.ndarray) and side.dtype == bool)


def _is_quantity(side: Any) -> bool:
    if not isinstance(side, str) or is_blank(side):
        return False
    try:
        parse_quantity(side)
    except InputError:
        return False
    return True
