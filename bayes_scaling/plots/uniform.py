"""Numbers that should be uniform: their empirical distribution less the uniform one, and its band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_scaling.checks.uniformity import uniform_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_uniform_band(ax: Axes, count: int, prob: float, *, label: str) -> None:
    """Shade where the empirical distribution of uniform numbers, less the uniform one, stays as a whole.

    Parameters
    ----------
    ax : Axes
        Where to draw; zero is marked too.
    count : int
        How many numbers.
    prob : float
        With this probability the whole curve stays inside.
    label : str
        In the legend.
    """
    share, low, high = uniform_band(count, prob)
    at = np.linspace(0.0, 1.0, 501)
    # The curve reaches a share at the earliest at `low`, and has it at the latest at `high`.
    above = np.interp(at, np.append(low, 1.0), np.append(share, 1.0), left=share[0])
    below = np.interp(at, np.append(0.0, high), np.append(0.0, share - share[0]), right=1.0)
    ax.fill_between(at, below - at, above - at, color="0.87", linewidth=0, label=label)
    ax.axhline(0.0, color="0.5", linewidth=0.8)


def ecdf_less_uniform(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the corners of the empirical distribution of numbers between 0 and 1, less the uniform one.

    Parameters
    ----------
    values : ndarray
        The numbers.

    Returns
    -------
    at, difference : ndarray
        Corners of the curve, from 0 to 1.
    """
    steps = np.concatenate([[0.0], np.sort(values), [1.0]])
    heights = np.concatenate([np.arange(len(values) + 1) / len(values), [1.0]])
    corners = np.repeat(steps, 2)[1:]
    return corners, np.repeat(heights, 2)[:-1] - corners
