"""Trained agents on one page: films, curves and cards."""
