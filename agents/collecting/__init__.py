"""From environments to rollouts."""
