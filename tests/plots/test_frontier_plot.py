"""The figure of the frontier, of fits whose draws are made by hand."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from handmade_fits import handmade_fit, law_draws

from bayes_scaling import interval, load_spec, optimum, plot_frontier, plot_optimum
from bayes_scaling.errors import InputError, NotConvergedError
from bayes_scaling.plots.axes import legend_below
from bayes_scaling.plots.frontier import profile_minima
from bayes_scaling.sampling.artefact import label_fit

BUDGETS = [1e18, 1e19, 1e20]


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def isoflop_fit() -> xr.DataTree:
    """Draws of an IsoFLOP model of three budgets, whose runs spend a tenth more than they should."""
    rng = np.random.default_rng(0)
    a = rng.normal(0.5, 0.02, size=(4, 500))
    draws = {
        "a": a,
        "params_coefficient": 0.1 * 1e19 ** (0.5 - a) * np.exp(rng.normal(0, 0.02, size=a.shape)),
        "E": np.full(a.shape, 1.8),
        "loss_coefficient": np.full(a.shape, 1e3),
        "gamma": np.full(a.shape, 0.15),
        "params_scatter": np.full(a.shape, 0.1),
        "loss_scatter": np.full(a.shape, 1e-3),
    }
    minima = 0.1 * np.sqrt(BUDGETS) * np.exp(rng.normal(0, 0.05, size=(*a.shape, 3)))
    flops = 1.1 * np.repeat(BUDGETS, 4)
    params = 0.1 * np.sqrt(flops) * np.tile([0.25, 0.7, 1.5, 4], 3)
    posterior = xr.Dataset({name: (("chain", "draw"), values) for name, values in draws.items()})
    groups = {
        "posterior": posterior.assign(params_min=(("chain", "draw", "budget"), minima)).assign_coords(
            budget=BUDGETS
        ),
        "constant_data": xr.Dataset(
            {
                name: ("run", values)
                for name, values in {
                    "params": params,
                    "flops": flops,
                    "tokens": flops / (6 * params),
                    "budget": np.repeat(BUDGETS, 4),
                }.items()
            }
        ),
    }
    facts = {
        "model": "isoflop-test",
        "law": "isoflop-skewed",
        "labels": {"params_count": "non_embedding"},
        "verdict": {"converged": True, "problems": []},
    }
    return label_fit(groups, facts)


@pytest.fixture
def recipes_fit(monkeypatch: pytest.MonkeyPatch) -> xr.DataTree:
    """Draws of an IsoFLOP model of two recipes, with two and three budgets of their own."""
    rng = np.random.default_rng(1)
    owners, budgets = np.repeat(["c4", "pile"], [2, 3]), np.array([1e18, 1e19, 1e18, 3e19, 1e21])
    a = rng.normal([0.5, 0.55], 0.02, size=(4, 500, 2))
    coefficient = 0.1 * 1e19 ** (0.5 - a) * np.array([1.0, 3.0])
    minima = np.sqrt(budgets) * np.exp(rng.normal(0, 0.05, size=(4, 500, 5)))
    by_recipe, names = ("chain", "draw", "recipe"), ["c4", "pile"]
    posterior = xr.Dataset(
        {
            "a": (by_recipe, a),
            "params_coefficient": (by_recipe, coefficient),
            "params_min": (("chain", "draw", "profile"), minima),
        },
        {"recipe": names},
    )
    constant = xr.Dataset(
        {
            "flops": ("run", np.repeat(budgets, 4) * np.tile([1.0, 1.1, 1.0, 1.1], 5)),
            "budget": ("run", np.repeat(budgets, 4)),
            "recipe": ("run", np.repeat(owners, 4)),
            "profile_recipe": ("profile", owners),
            "profile_budget": ("profile", budgets),
        }
    )
    facts = {
        "model": "isoflop-test",
        "law": "isoflop-skewed",
        "labels": {},
        "verdict": {"converged": True, "problems": []},
    }

    def frontier(fit: xr.DataTree, compute: np.ndarray, *, new_budget: bool, **_: bool) -> xr.Dataset:
        draws, budget = (
            fit["posterior"].dataset,
            xr.DataArray(compute, dims="compute", coords={"compute": compute}),
        )
        sizes = draws["params_coefficient"] * budget ** draws["a"]
        return xr.Dataset({"params_opt": sizes * np.exp(rng.normal(0, 0.2 * new_budget, size=sizes.shape))})

    monkeypatch.setattr("bayes_scaling.plots.frontier.optimum", frontier)
    return label_fit({"posterior": posterior, "constant_data": constant}, facts)


def edges(ax: plt.Axes, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute, low and high end of a band that was drawn."""
    vertices = ax.collections[number].get_paths()[0].vertices
    compute = np.unique(vertices[:, 0])
    at = [vertices[vertices[:, 0] == x, 1] for x in compute]
    return compute, np.array([y.min() for y in at]), np.array([y.max() for y in at])


def test_the_line_and_its_band_are_the_posterior_s(simulated_fit: xr.DataTree):
    ax = plot_frontier(simulated_fit, prob=0.8)
    inside, beyond = ax.lines[:2]
    assert (inside.get_linestyle(), beyond.get_linestyle()) == ("-", "--")
    assert inside.get_xdata()[[0, -1]].tolist() == pytest.approx([1e19, 1e21])
    assert beyond.get_xdata()[[0, -1]].tolist() == pytest.approx([1e21, 1e22])
    for number, line in enumerate((inside, beyond)):
        summary = interval(optimum(simulated_fit, line.get_xdata())["params_opt"], 0.8)
        compute, low, high = edges(ax, number)
        np.testing.assert_allclose(line.get_ydata(), summary.sel(statistic="estimate"))
        np.testing.assert_allclose(compute, line.get_xdata())
        np.testing.assert_allclose(low, summary.sel(statistic="low"))
        np.testing.assert_allclose(high, summary.sel(statistic="high"))
    assert ax.collections[1].get_alpha() < ax.collections[0].get_alpha()
    assert len(ax.collections) == 2, "a law has no minima, and no budgets whose scatter could be drawn"
    assert "80 % interval" in ax.get_title()


def test_the_minima_stand_at_their_own_runs_compute(isoflop_fit: xr.DataTree):
    ax = plot_frontier(isoflop_fit)
    points, (lower, upper), _ = ax.containers[0].lines
    np.testing.assert_allclose(points.get_xdata(), 1.1 * np.array(BUDGETS))
    summary = interval(isoflop_fit["posterior"]["params_min"])
    np.testing.assert_allclose(points.get_ydata(), summary.sel(statistic="estimate"))
    np.testing.assert_allclose(lower.get_ydata().astype(float), summary.sel(statistic="low"))
    np.testing.assert_allclose(upper.get_ydata().astype(float), summary.sel(statistic="high"))
    assert ax.get_ylabel() == "parameters (non-embedding)"


def test_one_more_budget_s_minimum_has_a_wider_and_paler_band(isoflop_fit: xr.DataTree):
    ax = plot_frontier(isoflop_fit)
    compute, low, high = edges(ax, 0)
    wide = interval(optimum(isoflop_fit, compute, new_budget=True)["params_opt"])
    np.testing.assert_allclose(low, wide.sel(statistic="low"))
    np.testing.assert_allclose(high, wide.sel(statistic="high"))
    _, inner_low, inner_high = edges(ax, 1)
    assert (low < inner_low).all()
    assert (high > inner_high).all()
    assert ax.collections[0].get_alpha() < ax.collections[1].get_alpha()
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == [
        "90 % interval of one more budget's minimum",
        "N_opt, median and 90 % interval",
        "beyond the runs",
        "minima of the profiles",
    ]


def test_the_figure_of_the_optimum_shows_the_minima_too(isoflop_fit: xr.DataTree):
    ax = plot_optimum(isoflop_fit, [1e21])
    minima, asked = ax.containers
    np.testing.assert_allclose(minima.lines[0].get_xdata(), 1.1 * np.array(BUDGETS))
    np.testing.assert_allclose(np.asarray(asked.lines[0].get_xdata(), dtype=float), [1e21])
    assert not plot_optimum(isoflop_fit, quantity="tokens_opt").containers


def test_it_is_drawn_on_the_callers_axes_and_only_if_it_may(
    isoflop_fit: xr.DataTree, unconverged_fit: xr.DataTree
):
    _, ax = plt.subplots()
    assert plot_frontier(isoflop_fit, ax=ax) is ax
    with pytest.raises(InputError, match="tells no recipes apart"):
        plot_frontier(isoflop_fit, recipe="c4")
    with pytest.raises(NotConvergedError):
        plot_frontier(unconverged_fit)
    assert plot_frontier(unconverged_fit, allow_unconverged=True).lines


def test_the_draws_of_the_minima_are_the_posterior_s(isoflop_fit: xr.DataTree):
    draws = profile_minima(isoflop_fit)
    assert draws.dims == ("chain", "draw", "minimum")
    np.testing.assert_array_equal(draws, isoflop_fit["posterior"]["params_min"])


def test_each_recipe_has_its_line_its_minima_and_its_own_reach(recipes_fit: xr.DataTree):
    ax = plot_frontier(recipes_fit)
    draws = recipes_fit["posterior"].dataset
    lines = [line for line in ax.lines if len(line.get_xdata()) > 10]
    assert [line.get_label() for line in lines[::2]] == ["c4", "pile"]
    for i, (low, high) in enumerate([(1e18, 1.1e19), (1e18, 1.1e21)]):
        inside, beyond = lines[2 * i : 2 * i + 2]
        assert inside.get_xdata()[[0, -1]] == pytest.approx([low, high])
        assert beyond.get_xdata()[[0, -1]] == pytest.approx([high, 10 * high])
        own = draws.isel(recipe=i)
        middle = (own["params_coefficient"] * low ** own["a"]).median()
        assert inside.get_ydata()[0] == pytest.approx(float(middle))
        profiles = slice(0, 2) if i == 0 else slice(2, 5)
        points = ax.containers[i].lines[0]
        np.testing.assert_allclose(
            points.get_ydata(), draws["params_min"].median(("chain", "draw"))[profiles]
        )
        expected = recipes_fit["constant_data"]["profile_budget"][profiles] * np.sqrt(1.1)
        np.testing.assert_allclose(points.get_xdata(), expected)
        assert points.get_color() == inside.get_color()
    assert len(ax.collections) - len(ax.containers) == 4, "a band of one more budget would hide the others"


def test_one_recipe_can_be_drawn_by_itself(recipes_fit: xr.DataTree):
    ax = plot_frontier(recipes_fit, recipe="pile")
    assert "isoflop-test, pile" in ax.get_title()
    (minima,) = ax.containers
    assert len(minima.lines[0].get_xdata()) == 3
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words[0] == "90 % interval of one more budget's minimum"
    with pytest.raises(InputError, match="no recipe 'piles'; did you mean 'pile'"):
        plot_frontier(recipes_fit, recipe="piles")


def test_budgets_asked_for_are_marked_for_each_recipe_and_reached(recipes_fit: xr.DataTree):
    ax = plot_frontier(recipes_fit, [1e16, 1e25])
    assert len(ax.containers) == 4, "marks and minima of two recipes"
    for i, name in enumerate(("c4", "pile")):
        points = ax.containers[2 * i + 1].lines[0]
        np.testing.assert_allclose(points.get_xdata(), [1e16, 1e25], rtol=0.1)
        draws = recipes_fit["posterior"].dataset.sel(recipe=name)
        for budget, size in zip((1e16, 1e25), points.get_ydata(), strict=True):
            own = (draws["params_coefficient"] * budget ** draws["a"]).median()
            assert size == pytest.approx(float(own))
    drawn = np.concatenate([line.get_xdata() for line in ax.lines if len(line.get_xdata()) > 2])
    assert (drawn.min(), drawn.max()) == (1e16, 1e25)


def test_a_new_recipe_is_drawn_where_it_is_asked_for():
    one, other = law_draws(100, seed=1), law_draws(100, seed=2)
    noise = {"sigma": 0.005, "nu": 4.0, "sigma_growth": 0.0}
    draws = {name: np.stack([one[name], other[name]], axis=-1) for name in one} | noise
    share = np.full((100, 2), 0.5)
    pooled = {"params_share": share, "loss_ratio": 1.0 + 0 * share, "irreducible": 0.7 + 0 * share}
    fit = handmade_fit({**draws, **pooled}, recipes=("web", "code"), spec="parametric-recipes")
    posterior = fit["posterior"].to_dataset()
    for name in load_spec("parametric-recipes").pooling:
        posterior[f"{name}_typical"] = posterior[name].mean("recipe")
        posterior[f"{name}_spread"] = posterior[f"{name}_typical"] * 0 + 0.1
    fit["posterior"] = xr.DataTree(posterior)
    ax = plot_frontier(fit, [1e22], new_recipe=True)
    line = next(line for line in ax.lines if line.get_label() == "a new recipe")
    expected = optimum(fit, line.get_xdata(), new_recipe=True)["params_opt"].median(("chain", "draw"))
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert len(ax.containers) == 3, "web, code and the new one"


def test_long_names_of_recipes_stay_within_the_figure():
    names = tuple(f"rw|hp=tuned|warmup=short|decay=chinchilla|count=standard|loss=val, {i}" for i in range(4))
    draws = {name: np.stack([values] * 4, axis=-1) for name, values in law_draws(20).items()}
    ax = plot_frontier(handmade_fit(draws, recipes=names))
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= ax.figure.bbox.x1
    assert box.y0 >= 0
    assert legend_below(["a"] * 30, 7.0)[1] > 5
