"""What is said of a Spectrum: every reason has its sentence, and no number is made up."""

from __future__ import annotations

import dataclasses

import pytest
import spectra_sample as sample

from jaxid.linalg.lanczos import Stop
from jaxid.report.curvature import interruption, notes, title
from jaxid.spectra.all_eigenvalues import Tried, WhyNot
from jaxid.spectra.optimizer_view import Moments
from jaxid.spectra.spectrum import During, Interruption
from jaxid.training.loop import Stage


def said(point) -> str:
    return " ".join(notes(point))


def test_each_point_and_the_way_through_are_told():
    lines = str(sample.spectrum())
    text = " ".join(lines.split())
    for words in (
        "At the start: loss 0.2500 over 20 of 30 examples, gradient 0.125, 5 parameters",
        "Hessian as the optimizer sees it",
        "Each layer's own block of the Hessian",
        "No condition number: made up to be missing. All eigenvalues were not computed: 5 "
        "parameters, more than --exact-order 4.",
        "All 5 eigenvalues, float64: 1 negative, 1 flat (within 1.00e-12 of 0), condition number",
        "Gauss-Newton has 1 flat directions: 1 inputs that never vary.",
        "10^1.50 equal solutions by permuting hidden units.",
        "90 % of that mode lies on 1 parameter whose rate is within a factor 10 of the largest, 10",
        "Along training (mean over the seeds)",
        "On the first 20 examples; 0.500 s of looking, compiling included, beside 2 s of training.",
    ):
        assert words in text, text
    # A layer goes by its own name.
    assert lines.count("\nresidual part") == 2 and lines.count("\nresidual  ") == 2


HOW = {
    Moments.STATE: "below the limit 2 of its own update (second moments of the state)",
    Moments.SETTLED: "(second moments after 200 batches' gradients at this point)",
    Moments.NONE: "(no second moments: P is 1)",
}


@pytest.mark.parametrize("how", HOW)
def test_where_p_comes_from_is_told(how):
    point = sample.point(Stage.END)
    view = dataclasses.replace(point.optimizer, how=how, batches=200)
    assert HOW[how] in said(dataclasses.replace(point, optimizer=view))


def test_an_optimizer_without_p_is_told_with_its_reason():
    point = sample.point(Stage.INIT)
    view = dataclasses.replace(
        point.optimizer, how=Moments.NO_P, why="it normalises gradients", limit=sample.NONE
    )
    point = dataclasses.replace(point, optimizer=view, matrices=point.matrices[:3])
    words = "What the optimizer sees is not known: it normalises gradients: it has no P."
    assert words in said(point)


WHY_NOT = {
    WhyNot.ORDER: "5 parameters, more than --exact-order 4.",
    WhyNot.FLOAT32_INSIDE: "the network computes in float32 inside (dot, cast).",
    WhyNot.CONSTANTS: "0.5 in float32 and 0.75 in float64: its constants depend on the precision",
    WhyNot.RANDOM: "it draws random numbers at net.py:3, and others in another precision",
}


@pytest.mark.parametrize("reason", WhyNot)
def test_why_not_every_eigenvalue_is_told(reason):
    tried = Tried(False, reason, 4, ("dot", "cast"), 0.5, 0.75, " at net.py:3")
    point = dataclasses.replace(sample.point(Stage.INIT), exact=tried)
    assert WHY_NOT[reason] in said(point)


@pytest.mark.parametrize("stop", Stop)
def test_what_has_not_converged_is_told_with_what_helps(stop):
    point = sample.point(Stage.INIT)
    late = dataclasses.replace(
        point.hessian, stopped=stop, lambda_min=sample.estimate(-1.0, 0.5, converged=False)
    )
    words = said(dataclasses.replace(point, matrices=(late, *point.matrices[1:])))
    assert "Lanczos has not converged: Hessian;" in words
    assert ("products in float32 round too much" in words) == (stop is Stop.ROUNDING)
    assert ("allow more --restarts" in words) == (stop is not Stop.ROUNDING)
    assert "Lanczos" not in said(point)


def test_a_kappa_that_has_not_converged_asks_for_more_steps():
    point = sample.point(Stage.INIT)
    layer = dataclasses.replace(
        point.layers[0], effective_kappa=sample.estimate(9.0, 5.0, converged=False)
    )
    words = said(dataclasses.replace(point, layers=(layer,)))
    assert "kappa of 99 % not converged: first; raise --steps." in words


def test_an_interrupt_is_told_by_its_place():
    training = Interruption(During.TRAINING, epoch=4)
    assert interruption(training) == "training, epoch 4"
    begun = Interruption(During.CURVATURE, point=Stage.END)
    assert interruption(begun) == "curvature at end"
    later = Interruption(During.CURVATURE, point=Stage.INIT, matrix="residual")
    assert interruption(later) == "curvature at init, residual"
    nothing = dataclasses.replace(sample.spectrum(), points=(), interrupted=training)
    assert title(nothing) == "curvature along training, interrupted"
