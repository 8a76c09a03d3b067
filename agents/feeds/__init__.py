"""Where batches come from, and when updates are due."""
