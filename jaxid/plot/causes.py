"""Colour of each item of the budget, in every figure."""

from __future__ import annotations

from collections.abc import Mapping

from jaxid.diagnosis.items import Item
from jaxid.plot.style import BLUE, GREY, ORANGE, RED

CAUSES: Mapping[Item, str] = {
    Item.REPRESENTATION: GREY,
    Item.LOCKED: RED,
    Item.SLOW_MODES: BLUE,
    Item.OPTIMIZER_NOISE: ORANGE,
}
