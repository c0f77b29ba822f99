"""How much each of several fits counts: weights by stacking of predictive scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayes_scaling.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

type Weights = Sequence[float] | np.ndarray | xr.DataArray


def model_weights(fits: Sequence[xr.DataTree], *, scores: xr.DataArray | None = None) -> xr.DataArray:
    """Weigh fits by how well their mixture predicts.

    Parameters
    ----------
    fits : sequence of DataTree
        Two or more, from `fit` or `open_fit`. Stacking of leave-one-out densities needs their groups
        log_likelihood and observed_data.
    scores : DataArray, dims fit and any others, optional
        Log predictive densities of losses that the fits had not seen, as from `forward_scores`: they are
        stacked in place of leave-one-out densities, for to predict larger runs is what a plan needs.

    Returns
    -------
    DataArray, dims fit
        Not negative, of sum 1; labelled by the models' names, with numbers where there are several such. The
        attribute `by` says what they rest on: "forward" scores, "loo", or that they are "equal"; and `why`
        they are that, or of what the forward scores are.

    Raises
    ------
    InputError
        If there are fewer than two fits, one is no fit, or the scores are not of these fits.
    """
    import xarray as xr

    from bayes_scaling.planning.ranking import fit_names, rank_models
    from bayes_scaling.planning.usable import check_fit

    fits = list(fits)
    for fit in fits:
        check_fit(fit)
    if len(fits) < 2:
        raise InputError(f"weights tell fits apart: give two or more, not {len(fits)}")
    names = fit_names(fits)
    by, why = "forward", ""
    if scores is not None:
        if scores.sizes.get("fit") != len(fits):
            raise InputError(f"scores need a dim fit of {len(fits)}, and have {dict(scores.sizes)}")
        weights, why = stack_scores(scores).to_numpy(), scores.attrs.get("of", "")
    elif why := _not_comparable(fits, names):
        by, weights = "equal", np.full(len(fits), 1 / len(fits))
    else:
        ranking = rank_models(fits, allow_unconverged=True)
        by = "loo"
        if ranking["group"].nunique() > 1:
            by, why = "equal", "the fits are not of the same observations"
            weights = np.full(len(fits), 1 / len(fits))
        else:
            weights = ranking["weight"].reindex(names).to_numpy(float)
    return xr.DataArray(weights, dims="fit", coords={"fit": names}, attrs={"by": by, "why": why})


def stack_scores(scores: xr.DataArray) -> xr.DataArray:
    """Find the weights with which a mixture of models would have predicted best.

    Parameters
    ----------
    scores : DataArray, dims fit and any others
        Log predictive density of each observation by each model, in nats: leave-one-out, or forward.

    Returns
    -------
    DataArray, dims fit
        Not negative, of sum 1.

    Raises
    ------
    InputError
        If there is no dim fit, or a score is not finite.

    Notes
    -----
    Stacking of predictive distributions, Yao et al. 2018, arXiv 1704.02030: the weights w that maximise
    sum_i log sum_k w_k p_k(y_i). The problem is concave.
    """
    from scipy.optimize import LinearConstraint, minimize

    if "fit" not in scores.dims:
        raise InputError(f"scores need a dim fit, and have {', '.join(map(str, scores.dims)) or 'none'}")
    values = scores.transpose("fit", ...).to_numpy().reshape(scores.sizes["fit"], -1)
    if not values.size or not np.isfinite(values).all():
        raise InputError("scores must be finite log densities, at least one of each fit")
    # What an observation has in common in all models alters no weight, and may lie beyond a float's exponent.
    density = np.exp(values - values.max(axis=0))
    count = len(density)

    def missed(weights: np.ndarray) -> tuple[float, np.ndarray]:
        # Weights that a search tries may lie a rounding below zero.
        mixed = np.maximum(weights @ density, 1e-300)
        return -float(np.log(mixed).mean()), -(density / mixed).mean(axis=1)

    found = minimize(
        missed,
        np.full(count, 1 / count),
        jac=True,
        bounds=[(0, 1)] * count,
        constraints=LinearConstraint(np.ones(count), 1, 1),
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    weights = np.clip(found.x, 0, None)
    return scores.isel({dim: 0 for dim in scores.dims if dim != "fit"}, drop=True).copy(
        data=weights / weights.sum()
    )


def checked_weights(fits: Sequence[xr.DataTree], weights: Weights | None) -> xr.DataArray:
    """Bring the weights that a caller gives into the form of `model_weights`, or work them out.

    Raises
    ------
    InputError
        If they are not one a fit, one is negative, or they do not add up to 1 (to within a thousandth).
    """
    import xarray as xr

    from bayes_scaling.planning.ranking import fit_names

    if weights is None:
        return model_weights(fits)
    try:
        values = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"weights must be numbers, one a fit, not {weights!r}") from None
    if values.shape != (len(fits),):
        raise InputError(f"weights must be one a fit: there are {len(fits)} fits and {values.size} weights")
    if not (np.isfinite(values) & (values >= 0)).all() or abs(values.sum() - 1) > 1e-3:
        said = ", ".join(f"{value:g}" for value in values)
        raise InputError(f"weights must not be negative and must add up to 1, not {said}")
    facts = weights.attrs if isinstance(weights, xr.DataArray) else {}
    attrs = {"by": facts.get("by", "given"), "why": facts.get("why", "")}
    coords = {"fit": fit_names(fits)}
    return xr.DataArray(values / values.sum(), dims="fit", coords=coords, attrs=attrs)


def _not_comparable(fits: Sequence[xr.DataTree], names: Sequence[str]) -> str:
    """Say which fits cannot be scored at all, if any."""
    lacking = [
        name
        for fit, name in zip(fits, names, strict=True)
        if not {"log_likelihood", "observed_data"} <= set(fit.children)
    ]
    return f"{', '.join(lacking)}: without the densities of its runs" if lacking else ""
