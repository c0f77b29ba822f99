"""Compile a model for nutpie so that the machine code is kept on disk between processes.

`nutpie.compile_pymc_model` has Numba compile two C callbacks afresh in every process, some six seconds:
log density with gradient, and the map from the sampler's unconstrained point to the model's variables.
Here the first is wrapped in a way that PyTensor's own on-disk cache recognises, so that only the
first process on a machine compiles it, and the second is not compiled at all: the sampler records
unconstrained points, and `constrain` maps all of them at once afterwards.

This is the only module that touches nutpie's and PyTensor's inner parts; `pyproject.toml` bounds their
versions.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numba
import numpy as np
import nutpie
import pymc as pm
import pytensor
import pytensor.tensor as pt
import xarray as xr
from nutpie.compile_pymc import CompiledPyMCModel, address_as_void_pointer, make_user_data
from pytensor.compile.mode import Mode, get_mode
from pytensor.graph import vectorize_graph
from pytensor.graph.replace import clone_replace
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src

from bayes_scaling.models.plain import PLAIN
from bayes_scaling.sampling.starts import initial_point, seeded

POINT = "unconstrained_point"
"""Name of the one variable that the compiled model records: the sampler's own point."""

# int callback(dim, *point, *gradient, *logp, *data), what nutpie calls for the log density …
_LOGP_SIGNATURE = numba.types.int64(
    numba.types.uint64, *[numba.types.CPointer(numba.types.double)] * 3, numba.types.voidptr
)
# … and int callback(dim, expanded dim, *point, *expanded point, *data) for what is recorded.
_EXPAND_SIGNATURE = numba.types.int64(
    *[numba.types.uint64] * 2, *[numba.types.CPointer(numba.types.double)] * 2, numba.types.voidptr
)

_LOGP_SOURCE = """
def logp_callback(dim, point_, gradient_, logp_, data_):
    try:
        table = carray(data_, ({table_size},), uintp)
        given = {arguments}
        value, gradient = function(*given)
        carray(gradient_, ({dim},))[:] = gradient
        carray(logp_, ())[()] = value
    except Exception:
        return 1
    return 0 if np.isfinite(value) and np.all(np.isfinite(gradient)) else 3
"""

_EXPAND_SOURCE = """
def expand_callback(dim, expanded_dim, point_, expanded_, data_):
    carray(expanded_, ({dim},))[:] = carray(point_, ({dim},))
    return 0
"""


@dataclass(frozen=True)
class Compiled:
    """The machine code of a model's log density, with data to run on.

    Attributes
    ----------
    form : str
        What the model is but for its data: its variables, priors and noise.
    nutpie : nutpie.compile_pymc.CompiledPyMCModel
        For `nutpie.sample`; records the one variable `POINT`, which `constrain` turns into the model's.
    start : pytensor function
        Draws where a chain starts, one output a value variable.
    shapes : list of tuple of int
        Of the value variables.
    """

    form: str
    nutpie: CompiledPyMCModel
    start: Any
    shapes: list[tuple[int, ...]]


def compile_model(model: pm.Model) -> Compiled:
    """Compile the log density of a model and its gradient.

    Parameters
    ----------
    model : pymc.Model
        Model with continuous free variables.

    Returns
    -------
    Compiled
        `with_model_data` lets it serve another model of the same form.
    """
    value_vars, start = model.value_vars, initial_point(model)
    shapes = [np.shape(values) for values in start()]
    flat, pieces = _flat_point(shapes)
    logp: Any = model.logp()
    slopes: Any = pt.grad(logp, value_vars)
    gradient = pt.concatenate([slope.ravel() for slope in slopes])
    outputs = clone_replace([logp, gradient], dict(zip(value_vars, pieces, strict=True)))
    # With fast maths the last bits depend on what LLVM inlines, which differs between code compiled
    # here and code read from the cache: the same seed would then give other draws in the next process.
    with pytensor.config.change_flags(numba__fastmath=False):
        function = pm.pytensorf.compile([flat], outputs, mode=_mode(model))

    dim = flat.type.shape[0]
    shared = {variable: f"data_{i}" for i, variable in enumerate(function.get_shared())}
    shared_data = {key: np.array(variable.get_value(), order="C") for variable, key in shared.items()}
    code = CompiledPyMCModel(
        dims={},
        reparameterized_names=[],
        compiled_logp_func=_logp_callback(function.vm.jit_fn, dim, list(shared_data.values())),
        compiled_expand_func=_callback(
            _EXPAND_SOURCE.format(dim=dim), "expand_callback", _EXPAND_SIGNATURE, {}, key="identity"
        ),
        initial_point_func=seeded(start),
        shared_data=shared_data,
        shared_var_keys=shared,
        user_data=make_user_data(shared, shared_data),
        n_expanded=dim,
        shape_info=([POINT], [slice(0, dim)], [(dim,)]),
        logp_func=function,
        expand_func=None,
        _n_dim=dim,
        _shapes={POINT: (dim,)},
        _coords={},
    )
    return Compiled(form=_form(model), nutpie=code, start=start, shapes=shapes)


def _mode(model: pm.Model) -> Mode:
    """Numba without in-place operations: finding places for them takes a third of the compilation.

    Of a model of several recipes also without the fusion of indices into elementwise operations, which ties
    its graph into a loop, at whose sorting the next rewrite never ends (seen with PyTensor 3.3).
    """
    mode = get_mode("NUMBA").excluding("inplace")
    return mode.excluding("fuse_elemwise") if "recipe" in model.coords else mode


def constrain(compiled: Compiled, model: pm.Model, points: np.ndarray) -> xr.Dataset:
    """Map unconstrained points to all variables of a model, free and deterministic.

    Parameters
    ----------
    compiled : Compiled
        What the points were sampled with.
    model : pymc.Model
        The model that it has the data of.
    points : ndarray, shape (chain, draw, n)
        What the sampler recorded as `POINT`.

    Returns
    -------
    Dataset
        Dims chain, draw and the variables' own, with the model's coordinates.
    """
    names = [variable.name for variable in [*model.free_RVs, *model.deterministics]]
    by_name = {variable.name: variable for variable in model.unobserved_value_vars}
    flat, pieces = _flat_point(compiled.shapes)
    outputs = clone_replace(
        [by_name[name] for name in names], dict(zip(model.value_vars, pieces, strict=True))
    )
    batch = pt.tensor3("points")
    # One pass over all draws in plain NumPy: compiling anything would cost more than it saves.
    function = pytensor.function([batch], vectorize_graph(outputs, {flat: batch}), mode=PLAIN)
    dims = {name: ("chain", "draw", *model.named_vars_to_dims.get(name, ())) for name in names}
    coords = {dim: list(values) for dim, values in model.coords.items() if values is not None}
    used = {dim for own in dims.values() for dim in own}
    return xr.Dataset(
        {name: (dims[name], values) for name, values in zip(names, function(points), strict=True)},
        coords={
            "chain": np.arange(points.shape[0]),
            "draw": np.arange(points.shape[1]),
            **{dim: values for dim, values in coords.items() if dim in used},
        },
    )


def with_model_data(compiled: Compiled, model: pm.Model) -> Compiled:
    """Put the data of another model of the same form into a compiled one, which costs next to nothing.

    Parameters
    ----------
    compiled : Compiled
        From `compile_model`.
    model : pymc.Model
        A model that `build_model` made from the same spec; its runs may be others, and more or fewer, of as
        many budgets and recipes.

    Returns
    -------
    Compiled

    Raises
    ------
    ValueError
        If the model is of another form: other priors or noise, another number of budgets or recipes, or
        standard errors in one of the two only.
    """
    if _form(model) != compiled.form:
        raise ValueError("the model is of another form than the compiled one: compile it by itself")
    # Beside the model's data, the length of a dimension may be an input.
    inputs = {**model.named_vars, **model.dim_lengths}
    names = [variable.name for variable in compiled.nutpie.shared_var_keys]
    code = compiled.nutpie.with_data(**{name: inputs[name].get_value() for name in names})
    shared = {variable: inputs.get(variable.name) for variable in compiled.start.get_shared()}
    start = compiled.start.copy(swap={old: new for old, new in shared.items() if new is not None})
    code = dataclasses.replace(code, initial_point_func=seeded(start))
    return Compiled(compiled.form, code, start, compiled.shapes)


def _form(model: pm.Model) -> str:
    """Print the graph of a model's random variables: constants show their values, data only their names.

    Dimensions of free variables have their lengths in it too, for the machine code has them.
    """
    printed = str(pytensor.dprint(model.basic_RVs, file="str"))
    dims = {dim for free in model.free_RVs for dim in model.named_vars_to_dims.get(free.name, ())}
    lengths = {dim: len(model.coords[dim]) for dim in sorted(dims)}
    # Where a random generator lies in memory is no part of the model.
    return f"{lengths}\n" + re.sub(r"0x[0-9A-Fa-f]+", "", printed)


def _flat_point(shapes: list[tuple[int, ...]]) -> tuple[Any, list[Any]]:
    """One flat vector, and the pieces of it that stand for the model's value variables."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    flat = pt.tensor("point", shape=(sum(sizes),), dtype="float64")
    ends = np.cumsum(sizes)
    pieces = [
        flat[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)
    ]
    return flat, pieces


def _logp_callback(function: Any, dim: int, shared: list[np.ndarray]) -> Any:
    """Wrap a compiled PyTensor function in the C callback that nutpie calls for the log density."""
    # nutpie's record of the data, read as a flat table: all addresses, then all sizes, then all shapes.
    arguments, shape_at = [], 2 * len(shared)
    for i, values in enumerate(shared):
        shape = "".join(f"table[{shape_at + axis}], " for axis in range(values.ndim))
        arguments.append(f"carray(address(table[{i}]), ({shape}), np.{values.dtype.name})")
        shape_at += values.ndim
    # Numba cannot read what Python makes of a call with thirty arguments or more, nor of a tuple so long.
    arguments.insert(0, f"carray(point_, ({dim},))")
    pieces = [arguments[i : i + 15] for i in range(0, len(arguments), 15)]
    given = " + ".join(f"({', '.join(piece)},)" for piece in pieces)
    source = _LOGP_SOURCE.format(dim=dim, table_size=shape_at, arguments=given)
    return _callback(
        source,
        "logp_callback",
        _LOGP_SIGNATURE,
        {"function": function, "address": address_as_void_pointer},
        key=CACHED_SRC_FUNCTIONS.get(function.py_func),
    )


def _callback(source: str, name: str, signature: Any, env: dict[str, Any], key: str | None) -> Any:
    """Compile a C callback; with a key for what it calls, through PyTensor's cache on disk."""
    versions = (nutpie.__version__, numba.__version__, pytensor.__version__)
    cache_key = None if key is None else sha256(f"{__name__} {versions} {source} {key}".encode()).hexdigest()
    python_function = compile_numba_function_src(
        source,
        name,
        global_env={"__name__": __name__, "np": np, "carray": numba.carray, "uintp": np.uintp, **env},
        cache_key=cache_key,
    )
    return numba.cfunc(signature, cache=cache_key is not None)(python_function)
