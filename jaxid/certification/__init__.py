"""How far off is a trained network, and on which inputs? Proofs from above, inputs from below."""
