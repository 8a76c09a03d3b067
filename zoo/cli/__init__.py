"""The `catzoo` command: dispatch on the first word, and a file for each command."""
