"""How big a model, on how many tokens, and how sure: Bayesian scaling laws.

Every public name is imported when it is first used: `import bayes_scaling` itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "read_runs": "runs.read",
    "load_dataset": "runs.datasets",
    "list_datasets": "runs.datasets",
    "simulate_runs": "runs.simulate",
    "Spec": "models.spec",
    "load_spec": "models.spec",
    "build_model": "models.build",
    "fit": "sampling.fit",
    "sample_prior": "sampling.prior",
    "fit_facts": "sampling.artefact",
    "save_fit": "sampling.artefact",
    "open_fit": "sampling.artefact",
    "optimum": "planning.optimum",
    "plan": "planning.plan",
    "plan_to_target": "planning.cheapest",
    "model_weights": "planning.stacking",
    "forward_scores": "planning.forward",
    "stack_scores": "planning.stacking",
    "compute_to_target": "planning.target",
    "worth_of_improvement": "planning.target",
    "design": "planning.design",
    "audit": "planning.audit",
    "published_models": "planning.audit",
    "predict": "planning.predict",
    "compare": "planning.compare",
    "disagreements": "planning.disagreements",
    "rank_models": "planning.ranking",
    "read_curves": "runs.curves",
    "load_curves": "runs.datasets",
    "reduce_curves": "approaches.envelope",
    "calibrate": "checks.calibrate",
    "check": "checks.check",
    "backtest": "checks.backtest",
    "learn_discrepancy": "checks.learned",
    "residuals": "checks.residuals",
    "write_report": "report.write",
    "interval": "intervals",
    "table": "tables",
    "plot_backtest": "plots.backtest",
    "plot_calibrate": "plots.calibrate",
    "plot_check": "plots.check",
    "plot_compare": "plots.compare",
    "plot_frontier": "plots.frontier",
    "plot_law": "plots.law",
    "plot_loo_pit": "plots.loo_pit",
    "plot_optimum": "plots.optimum",
    "plot_audit": "plots.audit",
    "plot_design": "plots.design",
    "plot_plan": "plots.plan",
    "plot_plans": "plots.audit",
    "plot_predictive": "plots.predictive",
    "plot_residuals": "plots.residuals",
    "plot_target": "plots.target",
    "plot_profiles": "plots.profiles",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
