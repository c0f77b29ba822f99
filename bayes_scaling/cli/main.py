"""The command `bayes-scaling`: its sub-commands, and how their errors and warnings reach the user."""

from __future__ import annotations

import gc
import os
import sys
import traceback
import warnings
from typing import Annotated, Any

import typer

from bayes_scaling.cli import (
    audit,
    backtest,
    calibrate,
    check,
    compare,
    data,
    demo,
    design,
    fit,
    optimum,
    plan,
    report,
)
from bayes_scaling.errors import BayesScalingError, InputError, NotConvergedError

FAILED, WRONG_INPUT = 1, 2
"""Exit codes; 0 is good, 3 (`output.NOT_CONVERGED`) a result whose verdict is bad, 130 an interruption."""

app = typer.Typer(
    name="bayes-scaling",
    help="How large a model to train, on how many tokens, with this compute, and how sure anyone can be.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("fit")(fit.fit)
app.command("optimum")(optimum.optimum)
app.command("plan")(plan.plan)
app.command("design")(design.design)
app.command("audit")(audit.audit)
app.command("compare")(compare.compare)
app.command("check")(check.check)
app.command("backtest")(backtest.backtest)
app.command("calibrate")(calibrate.calibrate)
app.command("report")(report.report)


_warned: set[str] = set()


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bayes-scaling {version('bayes-scaling')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with every error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before the command; `--debug`, which `main` takes out, may stand anywhere."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Imports make many objects and hardly any rubbish: looking for it less often saves a tenth of a second.
    gc.set_threshold(100_000)
    # Who needs it adds it to the line that has just failed: at its end.
    arguments = [each for each in sys.argv[1:] if each != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    # A plain function in place of a plain function: this is how Python means it to be replaced.
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        app(args=arguments)
    except (InputError, NotConvergedError) as error:
        _fail(error, str(error), WRONG_INPUT, debug)
    except BayesScalingError as error:
        _fail(error, str(error), FAILED, debug)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        hint = "this is a bug; with --debug the same command shows where it happened"
        _fail(error, f"{type(error).__name__}: {error} ({hint})", FAILED, debug)


def _fail(error: Exception, text: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    print(f"error: {text}", file=sys.stderr)
    sys.exit(code)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    from bayes_scaling.errors import RunsWarning

    # Other packages' warnings are for developers: Python's own -W options bring them back. Runs are checked
    # when they are read and when they are fitted: what is said once is enough.
    text = f"warning: {message}"
    if (issubclass(category, RunsWarning) or sys.warnoptions) and text not in _warned:
        _warned.add(text)
        print(text, file=sys.stderr)
