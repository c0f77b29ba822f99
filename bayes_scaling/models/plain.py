"""PyTensor without compilation: for what is evaluated once, and for which compiling takes longer."""

from __future__ import annotations

from pytensor.compile.mode import Mode

PLAIN = Mode(linker="py", optimizer="minimum_compile")
"""Mode that runs a graph node by node in Python."""
