"""Where the examples come from: digits, MNIST, Gaussian inputs, and their scalings.

`sources` loads a data set by its name, `scaling` fits, applies and inverts a map of the
features. Importing this package loads no data library.
"""
