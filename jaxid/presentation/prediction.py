"""How a Prediction and a PredictedRun print and what they draw."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from jaxid.core.result import Presenter, present
from jaxid.prediction.measured import MeasuredRun
from jaxid.prediction.predict import Prediction
from jaxid.prediction.run import PredictedRun


def show(found: Prediction, console: Console) -> None:
    """Print all that was said."""
    from jaxid.report.prediction import print_prediction

    print_prediction(found, console)


def show_run(run: PredictedRun, console: Console) -> None:
    """Print the same, and what was measured beside it."""
    from jaxid.report.prediction import print_run

    print_run(run, console)


def draw(found: Prediction, folder: Path) -> dict[str, Path]:
    """Save every figure whose data are there; name -> the PNG's path."""
    return _drawn(found, None, folder)


def draw_run(run: PredictedRun, folder: Path) -> dict[str, Path]:
    """The same with what was measured."""
    return _drawn(run.prediction, run.measured, folder)


def _drawn(found: Prediction | None, measured: MeasuredRun | None, folder: Path) -> dict[str, Path]:
    # Matplotlib takes a second to import.
    from jaxid.plot.prediction import draw_prediction

    return draw_prediction(found, measured, folder)


def title(found: Prediction) -> str:
    """In a few words."""
    from jaxid.report.prediction import title

    return title(found)


def title_of_run(run: PredictedRun) -> str:
    """The same with what was measured."""
    from jaxid.report.prediction import title

    return "interrupted" if run.prediction is None else title(run.prediction, run.measured)


present(Prediction, Presenter(show, draw, title))
present(PredictedRun, Presenter(show_run, draw_run, title_of_run))
