"""The page to hand around: one HTML file with the answers, the checks and a planner."""
