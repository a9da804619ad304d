"""Is the problem well posed here? Spectra, condition numbers, null directions and reasons."""
