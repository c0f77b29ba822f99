"""What the figures share: axes to draw on, logarithmic scales in the units that people read, saving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayes_scaling.errors import InputError
from bayes_scaling.files import check_writable, replaced
from bayes_scaling.quantities import format_quantity

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

type Colour = str | tuple[float, float, float, float]
"""By name, or as red, green, blue and opacity."""

SIZE = (7.0, 4.6)
"""Width and height of a new figure, in inches."""

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


def log_quantities(ax: Axes, *, x: bool = False, y: bool = False) -> None:
    """Make axes logarithmic, with ticks such as 70M and 1.4T for counts and 1e21 for FLOPs."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for wanted, axis, set_scale in ((x, ax.xaxis, ax.set_xscale), (y, ax.yaxis, ax.set_yscale)):
        if wanted:
            set_scale("log")
            low, high = axis.get_view_interval()
            # Within a decade and a half powers of ten alone may leave an axis with one number or none.
            steps = (1, 2, 5) if high < 30 * low else (1,)
            axis.set_major_locator(LogLocator(10, subs=steps, numticks=10))
            axis.set_major_formatter(FuncFormatter(lambda value, _: format_quantity(value)))
            axis.set_minor_formatter(NullFormatter())


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
