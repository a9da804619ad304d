"""Hadamard's three questions, and what the network can represent."""

from __future__ import annotations

from typing import NamedTuple

from jaxid.core.wording import estimate, label, number
from jaxid.identity.diagnosis import Diagnosis
from jaxid.identity.representation import Reach, Representation
from jaxid.identity.well_posed import Answer, Continuity, Uniqueness, WellPosed
from jaxid.report.content import TONES, Row, Section, Table


class Because(NamedTuple):
    """A reason for an answer.

    Attributes:
      first: a sentence, enough for a terminal.
      rest: what follows it.
      answers: whether the sentence says the answer itself.
    """

    first: str
    rest: str = ""
    answers: bool = False

    @property
    def whole(self) -> str:
        """All of it."""
        return f"{self.first} {self.rest}" if self.rest else self.first


def well_posed(diagnosis: Diagnosis, full: bool) -> Section:
    """Existence, uniqueness, continuity; what the network can represent."""
    section = Section(
        "Is the problem well posed? Hadamard's three questions",
        figures=("stability", "two_solutions"),
    )
    found, representation = diagnosis.well_posed, diagnosis.representation
    if found is None or representation is None:
        return section
    answers = _answers(diagnosis, found, representation)
    if full:
        rows = [
            Row((question, because.whole, answer.value), 0, TONES[answer])
            for question, because, answer in answers
        ]
        section.tables.append(Table(("question", "because", "answer"), rows))
        section.texts.append(_reach(representation))
    else:
        section.texts += [_in_a_line(*one) for one in answers]
    return section


def _answers(
    diagnosis: Diagnosis, found: WellPosed, representation: Representation
) -> list[tuple[str, Because, Answer]]:
    """(question, because, answer) of the three."""
    step = "one grey level" if diagnosis.problem.has_grey_levels else "one unit"
    exists, unique, continuous = found.exists.answer, found.unique, found.continuous
    return [
        ("Does a solution exist?", existence(representation), exists),
        ("Is it the only one?", uniqueness(unique), unique.answer),
        (
            "Does it depend stably on the data?",
            continuity(continuous, step),
            continuous.answer,
        ),
    ]


def existence(found: Representation) -> Because:
    """Why a solution exists, or does not."""
    if found.verdict is Reach.EXACT:
        return Because(f"An exact solution exists: {found.witness}.")
    reached = None if found.upper is None or found.upper.value is None else found.upper.value
    lower = found.lower.value or 0.0
    if lower > 0:
        upper = "" if reached is None else f"; {reached:.4g} is reached"
        least = f"No parameters bring the loss below {lower:.4g} ({found.how}){upper}."
        return Because(least, answers=True)
    if reached is not None:
        return Because(f"Not known: {reached:.4g} can be reached, 0 is not excluded.")
    return Because("Not known: no exact solution has been written down for this family.")


def uniqueness(found: Uniqueness) -> Because:
    """Why it is the only one, or not."""
    if found.null_dim == 0:
        return Because(
            "The inputs span every direction, so they leave no weight of the first layer free."
        )
    flat = (
        f"No: {found.directions} directions of {found.order} are invisible in the "
        f"inputs, for each of {found.units} units of the first layer: {found.null_dim:,} flat "
        "directions before any unit has died."
    )
    pair = found.two_solutions
    if pair is None:
        return Because(flat, answers=True)
    return Because(
        flat,
        f"Two solutions, {pair.distance:.3g} apart in their weights, differ by at most "
        f"{pair.train_difference:.2g} on the training set and by {pair.off_difference:.3g} "
        "(root mean square) off the data.",
        answers=True,
    )


def continuity(found: Continuity, step: str) -> Because:
    """Why it depends stably on the data, or does not."""
    if found.largest_change is None:
        return Because("All inputs are 0: there is nothing to perturb.")
    text = (
        f"Targets moved by {step} (root mean square) along the smallest mode move one output's "
        f"weights by {found.largest_change:.3g} (predicted {found.predicted:.3g}; the singular "
        f"value is {found.smallest_sigma:.3g}); the weights that copy one input have length "
        f"{found.copy_length:.3g}."
    )
    if found.answer is Answer.NO:
        stable = (
            "So a small change of the data can change the solution much more: it is not stable."
        )
    else:
        stable = "The solution is stable."
    return Because(text, stable)


def _in_a_line(question: str, because: Because, answer: Answer) -> str:
    """Question, answer, the reason's first sentence; the answer once, should that say it."""
    said = because.first if because.answers else f"{answer.value.capitalize()}. {because.first}"
    return f"{question} {said}"


def _reach(found: Representation) -> str:
    text = f"Least loss that any parameters reach: {estimate(found.lower)} at least"
    if found.upper is not None:
        text += f", {estimate(found.upper)} at most"
    text += f" ({label(found.verdict.value)})."
    if found.witness is not None:
        text += f" Witness: {found.witness.rstrip('.')}."
    return f"{text} How: {found.how.rstrip('.')}."


def ill_posed(diagnosis: Diagnosis) -> str | None:
    """The three answers as one clause, None where all is well or nothing is known."""
    found = diagnosis.well_posed
    if found is None:
        return None
    said = []
    kappa = diagnosis.moments[0].kappa.value if diagnosis.moments else None
    if kappa is not None:
        said.append(f"condition number {number(kappa, 2)}")
    if found.exists.answer is Answer.NO:
        said.append("no exact solution exists")
    if found.unique.answer is Answer.NO:
        said.append(f"solutions differ along {found.unique.null_dim:,} flat directions")
    if found.continuous.answer is Answer.NO:
        change = number(found.continuous.largest_change, 2)
        step = "one grey level" if diagnosis.problem.has_grey_levels else "one unit"
        size = number(found.continuous.copy_length, 2)
        said.append(f"{step} in a target can move its weights by {change}, their size is {size}")
    if len(said) < 2:
        return None
    return f"the data do not settle the weights, it is ill-posed ({', '.join(said)})"
