"""The published studies that a backtest is judged on, each with its recipes that are independent runs."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from bayes_scaling import load_dataset, read_runs
from bayes_scaling.errors import RunsWarning
from bayes_scaling.runs.check import check_runs

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Copies of published runs beside the checkout."""

PORIAN = {
    "short, chinchilla": "rw|hp=base|warmup=short|decay=chinchilla|count=standard|loss=val",
    "short, kaplan": "rw|hp=base|warmup=short|decay=kaplan|count=standard|loss=val",
    "long, kaplan": "rw|hp=base|warmup=long|decay=kaplan|count=standard|loss=val",
    "tuned, const": "rw|hp=tuned|warmup=short|decay=const|count=standard|loss=val",
    "tuned, long": "rw|hp=tuned|warmup=long|decay=const|count=kaplan|loss=train",
}
"""Of the ten groups those that are different runs: the others are these, counted otherwise."""


def studies(shared: Path = SHARED) -> dict[tuple[str, str], pd.DataFrame]:
    """Read every recipe of every study, by study and recipe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        return _studies(shared)


def _studies(shared: Path) -> dict[tuple[str, str], pd.DataFrame]:
    def read(folder: str, where: str, params: str = "params") -> pd.DataFrame:
        path = shared / folder / "runs.csv"
        # A recipe by itself: its name is the key here.
        return read_runs(path, where=where, columns={"params": params}).drop(columns="recipe")

    found = {("Chinchilla", "chinchilla"): read("chinchilla_epoch", "source_excluded == 0")}
    for recipe in ("comma", "dclm"):
        for count, column in (("total", "params"), ("non-embedding", "params_nonemb")):
            runs = read("marin_isoflop", f"group == '{recipe}'", column)
            found["Marin", f"{recipe}, {count}"] = runs
    for recipe in ("c4_original", "rpj", "rw_original"):
        found["Gadre", recipe] = read("gadre", f"group == '{recipe}'")
    for name, group in PORIAN.items():
        found["Porian", name] = read("porian", f"group == '{group}'")
    found["Gemstones", "cooldown"] = read("gemstones", "group == 'cooldown'")
    pocket = pd.concat([load_dataset("pocket"), load_dataset("pocket-held-out")], ignore_index=True)
    found["pocket", "pocket"] = check_runs(pocket)
    return found
