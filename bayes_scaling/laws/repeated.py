"""What tokens seen again are worth: effective data and effective parameters.

Source: Muennighoff et al. 2023, arXiv 2305.16264, equations 5 and 6, with the constants of its appendix A.
They were fitted on GPT-2 models of up to 8.7 billion parameters on C4; no uncertainty of them is published,
so they are points.

Of U unique tokens, D trained on make R = D / U - 1 repetitions and are worth U + U R* (1 - exp(-R / R*))
fresh ones. A model larger than U tokens can feed is worth fewer parameters by the same rule, with N over
the size for which U tokens are optimal in place of D over U. The paper takes the size that the tokens seen
can feed where those are fewer than U; here it is always that of U, so that with tokens enough the law is
the one that was fitted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

type Array = Any
"""A float, NumPy array or xarray DataArray."""

TOKENS_DECAY = 15.387756
"""R*_D: repetitions after which a further one is worth 1/e of the first."""

PARAMS_DECAY = 5.309743
"""R*_N: the same of parameters beyond those that the unique tokens can feed."""


def effective(count: Array, unique: Array, decay: float) -> Array:
    """How many fresh tokens, or well-fed parameters, a count is worth.

    Parameters
    ----------
    count : array
        Tokens trained on, or parameters.
    unique : array
        Unique tokens, or the parameters that they can feed.
    decay : float
        R*, such as `TOKENS_DECAY`.

    Returns
    -------
    array
        The count itself up to `unique`; beyond it less, and never more than unique (1 + R*).
    """
    surplus = np.maximum(count / unique - 1, 0.0)
    return np.minimum(count, unique) - unique * decay * np.expm1(-surplus / decay)


def count_for(effective_count: Array, unique: Array, decay: float) -> Array:
    """How many tokens have to be trained on to be worth a number of fresh ones: the inverse of `effective`.

    Parameters
    ----------
    effective_count : array
        Fresh tokens that would be needed.
    unique : array
        Unique tokens.
    decay : float
        R*, such as `TOKENS_DECAY`.

    Returns
    -------
    array
        Infinite where repetition never gets there.
    """
    used_up = np.clip((effective_count / unique - 1) / decay, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        repeated = unique * (1 - decay * np.log1p(-used_up))
    return np.where(effective_count <= unique, effective_count, repeated)
