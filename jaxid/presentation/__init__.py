"""How results print, draw, save and show themselves; importing it tells them."""

from jaxid.presentation import certification as certification
from jaxid.presentation import diagnosis as diagnosis
from jaxid.presentation import prediction as prediction
from jaxid.presentation import spectra as spectra
