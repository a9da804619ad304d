"""What holds the loss up: facts measured on a trained Problem, and its loss budget."""
