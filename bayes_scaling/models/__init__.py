"""From a model spec and a table of runs to a `pymc.Model`."""
