"""What this optimizer should achieve, from its own update rule and the problem alone."""
