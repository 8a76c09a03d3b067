"""What makes datasets: games that are played, and labels for what happened in them."""
