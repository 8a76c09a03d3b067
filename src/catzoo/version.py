"""The version, for those who want nothing else of the package."""

__version__ = "0.1.0"
