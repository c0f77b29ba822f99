"""Figures as SVG that an HTML page takes in: text stays text, and no name is used twice."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOM = 2_500_000
"""Bytes of a page for its figures."""

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters, not their outlines: a tenth of the size, and they can be selected
    "svg.hashsalt": "bayes_scaling",
    "text.parse_math": False,  # names of recipes may hold dollar signs
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
}


@contextmanager
def without_display() -> Iterator[None]:
    """Draw without a screen, in the style of the page, and leave no figure open."""
    import matplotlib
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(_STYLE):
        before = set(plt.get_fignums())
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)


def svg_of(draw: Callable[..., Axes | list[Axes]], *arguments: Any, key: str, **options: Any) -> str:
    """Draw a figure as an SVG element.

    Parameters
    ----------
    draw : callable
        A plotting function.
    *arguments, **options
        What it takes.
    key : str
        Letters, digits and dashes, of this figure alone: they begin every id in it.

    Returns
    -------
    str
        Transparent where nothing is drawn, without date and without addresses that a browser would fetch.
    """
    with without_display():
        axes = draw(*arguments, **options)
        figure = (axes[0] if isinstance(axes, list) else axes).get_figure(root=True)
        assert figure is not None, "axes that a plot function returned belong to a figure"
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True)
    return _embeddable(text.getvalue(), key)


def _embeddable(svg: str, key: str) -> str:
    """Take what a page has no use for out of an SVG file, and begin every id by a key."""
    root = ElementTree.fromstring(svg)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for size in ("width", "height"):
        del root.attrib[size]
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, f"{key}-{value}")
            elif name == f"{{{_XLINK}}}href" and value.startswith("#"):
                element.set(name, f"#{key}-{value[1:]}")
            elif value.startswith("url(#"):
                element.set(name, value.replace("url(#", f"url(#{key}-"))
    return ElementTree.tostring(root, encoding="unicode")
