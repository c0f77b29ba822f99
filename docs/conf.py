"""Sphinx: how the documentation is built (`make docs`), with the pages that are written from the package."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

# PyTensor tells Sphinx's log how it is configured.
logging.getLogger("pytensor").setLevel(logging.WARNING)

project = "bayes_scaling"
author = "the bayes_scaling authors"
language = "en"

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
default_role = "py:obj"  # what docstrings name is a link where it is public
smartquotes = False
numpydoc_show_class_members = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the numpydoc sections say what is taken, with dims and units
toc_object_entries_show_parents = "hide"
# Fragments, which other pages include.
exclude_patterns = ["_build", "generated/api.md", "generated/commands.md", "generated/priors.md"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "bayes_scaling"
html_copy_source = False
html_show_copyright = False


def write_math(translator: Any, node: Any) -> None:
    """Write a formula as MathML, which browsers show by themselves: no script, and no network."""
    from docutils.nodes import SkipNode, math_block
    from docutils.utils.math.latex2mathml import tex2mathml

    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, math_block)))
    raise SkipNode


def setup(app: Any) -> None:
    """Write the pages that follow from the package, before Sphinx looks for pages."""
    from from_package import write_pages

    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("builder-inited", lambda _: write_pages(HERE / "generated"))
