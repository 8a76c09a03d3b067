"""What lies on disk: runs, studies, recipes. Imports no torch."""
