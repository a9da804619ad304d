"""The last layer by itself: its exact Hessian by blocks, and how low it can bring the loss."""
