"""What a terminal gets and a pipe does not: colours, and what a shell completes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

GREEN = "\x1b[32m"


def at_a_terminal(*arguments: str, **environment: str) -> str:
    """Run a command whose outputs are a terminal, and give all that it shows."""
    ours, theirs = pty.openpty()
    usual = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        [sys.executable, "-m", "bayes_scaling", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**usual, "TERM": "xterm", **environment},
    ) as process:
        os.close(theirs)
        shown = b""
        # Linux tells by an error that nobody will write any more.
        while part := _read(ours):
            shown += part
        os.close(ours)
        assert process.wait() == 0
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_colours_are_for_a_terminal_and_off_under_no_color():
    assert GREEN in at_a_terminal("check", "pocket")
    without = at_a_terminal("check", "pocket", NO_COLOR="1")
    assert "0 of 6 checks failed" in without
    assert not re.search("\x1b\\[(?:\\d+;)*[34][0-9]", without)


def test_a_pipe_gets_no_escape_codes():
    command = [sys.executable, "-m", "bayes_scaling", "data", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("opt", ["optimum"]),
        ("optimum fit.nc --new", ["--new-budget", "--new-recipe"]),
        ("fit chinchilla-", ["chinchilla-simulated", "chinchilla-all"]),
        ("fit pocket --model isoflop-", ["isoflop-parabola", "isoflop-skewed"]),
        ("fit ./ru", []),
    ],
)
def test_a_shell_completes_commands_options_sets_and_models(line: str, completed: list[str]):
    words = f"bayes-scaling {line}"
    asked = {
        "_BAYES_SCALING_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    # A shell asks by the program's own name.
    program = Path(sys.executable).with_name("bayes-scaling")
    done = subprocess.run([program], capture_output=True, text=True, check=False, env={**os.environ, **asked})
    assert done.stdout.split() == completed
