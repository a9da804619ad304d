"""Training: optimizers, the loop, evaluation, seeds in one program, progress."""
