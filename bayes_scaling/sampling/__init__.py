"""From a `pymc.Model` to a fit: compile once, NUTS, convergence verdict, save and open."""
