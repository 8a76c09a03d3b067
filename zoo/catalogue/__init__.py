"""What is in the zoo: recipe files, score tables, trained agents. Imports no torch."""
