"""Large numbers as people write them: 70B, 1.4T, 5.76e23."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from bayes_scaling.errors import InputError

SUFFIXES = {"k": 3, "m": 6, "b": 9, "g": 9, "t": 12}
"""Powers of ten by suffix. Not P and E: 1E18 and 1E would be one key stroke and 1e18 apart."""

_NUMBER = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|\s*([kKmMbBgGtT]))?")
# One comma may be a decimal one (3,141 or 3.141?): only two or more groups are beyond doubt.
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3}){2,}")


def parse_quantity(text: str) -> float:
    """Read a number as people write it.

    Parameters
    ----------
    text : str
        Digits with an optional sign, fraction and exponent (`5.76e23`), or with a suffix instead of
        the exponent (`70B`, `1.4T`, `70 M`, `2k`; thousand k, million M, billion B or G, trillion T,
        in either case), or digits in at least three groups (`1,000,000`).

    Returns
    -------
    float
        Finite.

    Raises
    ------
    InputError
        If the text is anything else, or a number beyond what a float can hold.
    """
    stripped = text.strip()
    number = stripped.replace(",", "") if _GROUPED.fullmatch(stripped) else stripped
    match = _NUMBER.fullmatch(number)
    if match is None:
        raise InputError(f"{shorten(text)} is not a number; write digits such as 1.4e12 or 1.4T")
    digits, exponent, suffix = match.groups()
    # Suffixes are turned into exponents, so that 70.2B is the very float of 70.2e9.
    value = float(digits + (exponent or (f"e{SUFFIXES[suffix.lower()]}" if suffix else "")))
    if math.isinf(value) or (value == 0 and digits.strip("+-0.")):
        raise InputError(f"{shorten(text)} is beyond what a float can hold; write a number within 1e±300")
    return value


def format_quantity(value: float, digits: int = 3) -> str:
    """Write a number as people read it; `parse_quantity` takes it back to within its rounding.

    Parameters
    ----------
    value : float
        Any number.
    digits : int
        Significant digits, at least 1; trailing zeros are left out.

    Returns
    -------
    str
        With a suffix from a thousand up (`512`, `2k`, `70.2B`, `1.42T`), with an exponent from
        1e15 up and below 0.001 (`5.76e23`).
    """
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else str(float(value))
    # Rounding comes first: 999.9 million in three digits is 1B, not 1000M.
    mantissa, exponent_text = f"{value:.{digits - 1}e}".split("e")
    exponent = int(exponent_text)
    if exponent >= 15 or exponent < -3:
        return f"{_trim(mantissa)}e{exponent}"
    power = max(exponent // 3 * 3, 0)
    suffix = {0: "", 3: "k", 6: "M", 9: "B", 12: "T"}[power]
    decimals = max(digits - 1 - (exponent - power), 0)
    return _trim(f"{float(f'{mantissa}e{exponent - power}'):.{decimals}f}") + suffix


def format_flops(value: float, digits: int = 3) -> str:
    """Write FLOPs, always with an exponent: 100T would read like tokens.

    Parameters
    ----------
    value : float
        Any number.
    digits : int
        Significant digits, at least 1; trailing zeros are left out.

    Returns
    -------
    str
        Such as `1e14` and `5.76e23`.
    """
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else str(float(value))
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{_trim(mantissa)}e{int(exponent)}"


def format_share(value: float, digits: int = 3) -> str:
    """Write a share as per cent, as `90 %`.

    Parameters
    ----------
    value : float
        A share of one.
    digits : int
        Significant digits, at least 1.

    Returns
    -------
    str
    """
    return f"{100 * value:.{digits}g} %"


def format_plain(value: float) -> str:
    """Write a number with four significant digits."""
    return f"{value:.4g}"


def format_factor(value: float) -> str:
    """Write a factor with three significant digits."""
    rounded = f"{value:.3g}".replace("e+0", "e").replace("e+", "e")
    return f"{float(rounded):,.0f}" if 1000 <= value < 1e6 else rounded


def format_interval(value: dict[str, float], write: Callable[[float], str]) -> str:
    """Write the ends of an interval with a dash between them: 58.7B to 93.5B in half the room."""
    return f"{write(value['low'])}\N{EN DASH}{write(value['high'])}"


def shorten(value: object, length: int = 40) -> str:
    """Show a value as an error message quotes it: its repr, cut where it is long."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _trim(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
