"""What every room needs of the machine: console, files, locks, signals. Imports nothing heavy."""
