"""Search spaces, samplers, and Optuna studies."""
