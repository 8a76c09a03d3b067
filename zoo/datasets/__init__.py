"""What makes datasets: experts, self-play, and the games and episodes that they give."""
