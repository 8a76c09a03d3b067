"""`catzoo tune`: an Optuna study over seeds, from a search space to a recipe that has been checked again."""
