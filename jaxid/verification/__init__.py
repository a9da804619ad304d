"""How far off a trained network can be on a set of inputs: bounds from above, inputs from below."""
