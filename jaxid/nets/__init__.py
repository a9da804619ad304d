"""Networks: the identity family, activations, initialisers, and one Model for all kinds."""
