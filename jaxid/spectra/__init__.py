"""Is the problem well posed here? The spectrum of any Problem at a point, and along training."""
