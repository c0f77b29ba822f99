"""Figures that a page takes in: letters stay letters, and two figures share no name."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bayes_scaling.report.figures import svg_of


def draw(title: str) -> Axes:
    ax = plt.subplots()[1]
    ax.plot([1, 2], [3, 4], "o")
    ax.fill_between([1, 2], [3, 4], 5, alpha=0.2)
    ax.set_title(title)
    return ax


def test_texts_are_escaped_and_dollars_are_no_formula():
    title = "<b>$x$ & 'co' </svg>"
    root = ElementTree.fromstring(svg_of(draw, title, key="one"))
    assert title in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_two_figures_share_no_name_and_each_finds_its_own():
    one, other = (svg_of(draw, "the same", key=key) for key in ("one", "other"))
    names = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert not names[0] & names[1]
    for own, svg in zip(names, (one, other), strict=True):
        used = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert used
        assert set(used) <= own


def test_the_same_figure_is_the_same_text_and_none_stays_open():
    before = plt.get_fignums()
    assert svg_of(draw, "again", key="a") == svg_of(draw, "again", key="a")
    assert plt.get_fignums() == before
    assert "<metadata" not in svg_of(draw, "again", key="a")
