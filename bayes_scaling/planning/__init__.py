"""From a fit to a decision: never imports PyMC, answers in under a second."""
