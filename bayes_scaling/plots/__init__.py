"""One figure a function: each takes a fit, draws on given or new axes, and returns them."""
