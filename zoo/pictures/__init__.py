"""Pictures of runs: one style, the learning curve, curves over seeds."""
