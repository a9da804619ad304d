"""Linear algebra that knows no networks: Gram matrices, spectra, Krylov methods."""
