"""Scores over seeds and environments: aggregates, intervals, one scale."""
