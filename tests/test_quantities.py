from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_scaling.errors import InputError
from bayes_scaling.quantities import (
    format_flops,
    format_quantity,
    format_share,
    parse_quantity,
    shorten,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70B", 70e9),
        ("70b", 70e9),
        ("1.4T", 1.4e12),
        ("5.76e23", 5.76e23),
        ("5.76E+23", 5.76e23),
        ("1e-5", 1e-5),
        ("1,000,000", 1e6),
        ("70 M", 70e6),
        ("2k", 2e3),
        ("2K", 2e3),
        ("3G", 3e9),
        (" 12 ", 12),
        ("-4", -4),
        (".5", 0.5),
        ("7.", 7),
        ("0", 0),
        ("0e9", 0),
        ("007", 7),
    ],
)
def test_what_people_write_is_read(text: str, value: float) -> None:
    assert parse_quantity(text) == value


def test_a_suffix_is_exactly_its_power_of_ten() -> None:
    # 70.2 * 1e9 is not the float of 70.2e9.
    assert all(parse_quantity(f"{i / 10}B") == float(f"{i / 10}e9") for i in range(1, 2000))


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "B", "70BB", "70 billion", "1E", "1P", "1e5B", "1e", "e5", "1.2.3", "--1", "1,000", "3,14",
        "1,00,000", "1_000", "nan", "inf", "-Infinity", "0x10", "١٢", "1 2", "7\u00a0T0", "1e5\n2",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a number; write digits such as 1\.4e12 or 1\.4T"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1e-999", "9" * 400])
def test_numbers_beyond_floats_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="beyond what a float can hold"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (70.2e9, "70.2B"),
        (70e9, "70B"),
        (1.42e12, "1.42T"),
        (5.76e23, "5.76e23"),
        (999.9e6, "1B"),
        (999.9e12, "1e15"),
        (512, "512"),
        (2000, "2k"),
        (123456, "123k"),
        (0.0123, "0.0123"),
        (1.2e-5, "1.2e-5"),
        (-3.5e6, "-3.5M"),
        (0, "0"),
        (-0.0, "0"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_are_written_as_people_read_them(value: float, text: str) -> None:
    assert format_quantity(value) == text


@given(st.floats(-1e307, 1e307, allow_subnormal=False), st.integers(1, 17))
def test_what_is_written_is_read_back_to_within_its_rounding(value: float, digits: int) -> None:
    text = format_quantity(value, digits)
    back = parse_quantity(text)
    assert math.isclose(back, value, rel_tol=0.5000001 * 10.0 ** (1 - digits) + 1e-15)
    assert format_quantity(back, digits) == text


@given(st.text())
def test_random_text_is_a_number_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        assert math.isfinite(parse_quantity(text))


def test_long_values_are_cut() -> None:
    assert shorten("x" * 100) == "'" + "x" * 38 + "…"
    assert shorten("short") == "'short'"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e14, "1e14"),
        (5.76e23, "5.76e23"),
        (3.0001e13, "3e13"),
        (9.999e20, "1e21"),
        (0, "0"),
        (512, "5.12e2"),
    ],
)
def test_flops_never_read_like_tokens(value: float, text: str) -> None:
    assert format_flops(value) == text
    assert float(format_flops(value)) == pytest.approx(value, rel=5e-3)


def test_a_share_is_written_as_per_cent() -> None:
    assert [format_share(share) for share in (0.9, 0.995, 0.00485, 1)] == [
        "90 %",
        "99.5 %",
        "0.485 %",
        "100 %",
    ]
