"""Environments: names and sets, protocols, and how one is made."""
