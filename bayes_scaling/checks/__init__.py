"""Whether a fit may be believed: predictive checks, leave-one-out, prior sensitivity, design."""
