"""How a Certification prints and what it draws."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from jaxid.certification.certified import Certification
from jaxid.certification.words import headline
from jaxid.core.result import Presenter, present


def show(result: Certification, console: Console) -> None:
    """Print the verdict on the family, and the worst error by region."""
    from jaxid.report.certificate import print_certificate

    print_certificate(result, console)


def draw(result: Certification, folder: Path) -> dict[str, Path]:
    """Save every figure whose data are there; name -> the PNG's path."""
    # Matplotlib takes a second to import.
    from jaxid.plot.certificate import draw_certificate

    return draw_certificate(result, folder)


present(Certification, Presenter(show, draw, headline))
