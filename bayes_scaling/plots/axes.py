"""What the figures share: axes to draw on, logarithmic scales in the units that people read, saving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayes_scaling.errors import InputError
from bayes_scaling.files import check_writable, replaced

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

type Colour = str | tuple[float, float, float, float]
"""By name, or as red, green, blue and opacity."""

SIZE = (7.0, 4.6)
"""Width and height of a new figure, in inches."""

LETTERS = 13.0
"""Small letters in an inch, about."""

_LABELS = 3
"""Fewest labelled ticks in view: one alone does not tell the scale."""

FORMATS = (".png", ".svg", ".pdf")
"""Of figures on disk."""


def axes_or_new(ax: Axes | None, figsize: tuple[float, float] | None) -> Axes:
    """Return the axes to draw on: the caller's, or new ones in a figure of that size."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize or SIZE, layout="constrained")[1]


def draw_band(
    ax: Axes, summary: xr.DataArray, *, color: Colour, alpha: float = 0.3, label: str | None = None
) -> None:
    """Shade what lies inside an interval along compute.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    summary : DataArray, dims statistic and compute
        As from `interval`.
    color, alpha, label
        As Matplotlib takes them.
    """
    low, high = (summary.sel(statistic=end).to_numpy() for end in ("low", "high"))
    compute = summary["compute"].to_numpy()
    ax.fill_between(compute, low, high, color=color, alpha=alpha, label=label, linewidth=0)


def legend_below(names: Sequence[str], width: float) -> tuple[float, int]:
    """Say how much room a legend of small letters below a figure takes.

    Parameters
    ----------
    names : sequence of str
        Its entries.
    width : float
        Of the figure, in inches.

    Returns
    -------
    height : float
        In inches.
    columns : int
        As many as there is room for beside each other.
    """
    columns = max(1, min(len(names), int(width * LETTERS / (max(map(len, names)) + 8))))
    return 0.22 * -(-len(names) // columns), columns


def log_quantities(
    ax: Axes, *, x: Callable[[float, int], str] | None = None, y: Callable[[float, int], str] | None = None
) -> None:
    """Make axes logarithmic, with at least three labelled ticks.

    Parameters
    ----------
    ax : Axes
        On which everything is drawn already: the ticks are those of what is in view.
    x, y : callable, optional
        How to write a tick with so many digits: `format_quantity` for counts such as 70M and 1.4T,
        `format_flops` for FLOPs; an axis without one stays as it is.
    """
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for write, axis, set_scale in ((x, ax.xaxis, ax.set_xscale), (y, ax.yaxis, ax.set_yscale)):
        if write is not None:
            set_scale("log")
            axis.set_major_locator(_locator(*axis.get_view_interval()))
            # Ticks are round numbers: what digits they have are wanted, and zeros are left out.
            axis.set_major_formatter(FuncFormatter(lambda value, _, write=write: write(value, 6)))
            axis.set_minor_formatter(NullFormatter())


def _locator(low: float, high: float) -> Locator:
    """Find ticks for a logarithmic axis: powers of ten, or as many between them as it takes to have three."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    for steps in ((1,), (1, 2, 5)):
        locator = LogLocator(10, subs=steps, numticks=10)
        ticks = np.asarray(locator.tick_values(low, high))
        if np.count_nonzero((low <= ticks) & (ticks <= high)) >= _LABELS:
            return locator
    # Within less than a decade the axis is nearly linear.
    return MaxNLocator(5, steps=[1, 2, 5, 10])


def check_figure(path: str | Path) -> None:
    """Refuse a figure that cannot be written, before any work is done for it.

    Parameters
    ----------
    path : str or Path
        File to be written later.

    Raises
    ------
    InputError
        If its suffix is no known format, or the file cannot be written.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"{path}: no figure format {Path(path).suffix!r}; known: {', '.join(FORMATS)}")
    check_writable(path)


def save_figure(ax: Axes, path: str | Path) -> None:
    """Write the figure that axes belong to, whole or not at all.

    Parameters
    ----------
    ax : Axes
        As a plot function returned them.
    path : str or Path
        File to write; its suffix (.png, .svg, .pdf) says the format.

    Raises
    ------
    InputError
        As for `check_figure`.
    """
    check_figure(path)
    figure = ax.get_figure(root=True)
    assert figure is not None, "axes that a plot function returned belong to a figure"
    with replaced(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lower().lstrip("."), dpi=150)
