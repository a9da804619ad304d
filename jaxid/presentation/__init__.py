"""How results print, draw, save and show themselves; importing it tells them."""

from jaxid.presentation import diagnosis as diagnosis
