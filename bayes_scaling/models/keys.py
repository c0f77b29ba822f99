"""Whether a spec has the keys and tables that it must have; the nearest known key to one that it must not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_scaling.errors import InputError, did_you_mean


def check_table(value: Any, place: str) -> None:
    """Refuse what is no table of keys and values; `place` opens the message."""
    if not isinstance(value, Mapping):
        raise InputError(f"{place} must be a table of keys and values, not {value!r}")


def check_keys(content: Mapping[str, Any], needed: set[str], optional: set[str], place: str) -> None:
    """Refuse a table with an unknown key, or without one that it needs."""
    for key in content:
        if key not in needed | optional:
            raise InputError(f"{place}: unknown key {key!r}{did_you_mean(key, needed | optional)}")
    missing = sorted(needed - set(content))
    if missing:
        raise InputError(f"{place}: missing {', '.join(missing)}")
