"""Where chains start: near what the runs say, or in the prior's middle, anew by each seed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
import pymc as pm
from pymc.initial_point import make_initial_point_fn
from pymc.pytensorf import find_rng_nodes, reseed_rngs


def initial_point(model: pm.Model) -> Any:
    """Compile where a chain starts: as the model says, else the prior's centre +-1 in its coordinate.

    A variable without a transform starts at a draw from its prior: its coordinate need not have a scale of 1.

    Parameters
    ----------
    model : pymc.Model
        Any model.

    Returns
    -------
    pytensor function
        Without inputs; one output a value variable. `seeded` makes its draws follow a seed.
    """
    starts = model.rvs_to_initial_values
    told = [variable for variable in model.free_RVs if starts.get(variable) is not None]
    plain = [variable for variable in model.free_RVs if model.rvs_to_transforms[variable] is None]
    of_seed = make_initial_point_fn(
        model=model,
        overrides=dict.fromkeys((variable for variable in plain if variable not in told), "prior"),
        jitter_rvs=set(model.free_RVs).difference(told, plain),
        return_transformed=True,
    )
    return of_seed.__wrapped__


def seeded(start: Any) -> Callable[[Any], np.ndarray]:
    """Give nutpie the start of a chain as one vector, by a seed.

    Parameters
    ----------
    start : pytensor function
        From `initial_point`.

    Returns
    -------
    callable
        From a seed to all value variables, one after the other.
    """
    random = find_rng_nodes(start.maker.fgraph.outputs)
    # Chains ask from threads of their own, and the seed is a state that all of them share.
    one_at_a_time = Lock()

    def flat_initial_point(seed: Any) -> np.ndarray:
        with one_at_a_time:
            reseed_rngs(random, seed)
            point = start()
        return np.concatenate([np.ravel(values) for values in point]).astype(float)

    return flat_initial_point
