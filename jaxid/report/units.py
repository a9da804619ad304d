"""Units that died, and the kind of point where training stopped."""

from __future__ import annotations

from jaxid.core.wording import label, number, percent, plus_minus
from jaxid.diagnosis.points import Doubt, Point, PointKind
from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.content import Row, Section, Table

KINKS = "The Hessian does not see the kinks of ReLU."


def dead(diagnosis: Diagnosis, full: bool) -> Section:
    """Counts by layer, what they cost, when they died."""
    section = Section("Dead units", figures=("dead_units", "images"))
    found = diagnosis.dead
    if found is None:
        return section
    varying, constant = found.outputs_dead_varying, found.outputs_dead_constant
    text = (
        f"At the end of training, of {found.outputs:,} outputs "
        f"{plus_minus(varying.mean, varying.sem)} are "
        + ("dead and matter" if found.stops_gradient else "never positive")
    )
    if found.share_of_loss is not None and varying.mean:
        text += f", holding {percent(found.share_of_loss)} of the loss"
    if found.constant_targets:
        text += (
            f"; {number(constant.mean)} more on the {found.constant_targets:,} "
            "targets that never vary, which costs nothing"
            if not found.loss_constant.mean
            else f"; {number(constant.mean)} more on targets that never vary"
        )
    section.texts.append(text + ".")
    clock, born = found.death, found.born_dead
    if born.outputs.mean:
        section.texts.append(
            f"Dead from before the first step on: {number(born.outputs.mean)} of them, with "
            f"a loss of {number(born.loss.mean)}."
        )
    if clock.count:
        section.texts.append(
            f"Half of the deaths come by step {number(clock.median_step)}, "
            f"{percent(clock.in_first_epoch)} in the first epoch."
        )
    far = diagnosis.first_step
    if far.value is not None:
        section.texts.append(
            "The very first step moves the outputs by "
            f"{plus_minus(far.value, far.error, 2)} times the size of the targets."
        )
    if not found.stops_gradient:
        section.texts.append("The activation lets gradients through there, so they can recover.")
    if full or len(found.layers) > 1:
        rows = [
            Row(
                (
                    f"layer {layer.layer} ({layer.activation})",
                    number(layer.units),
                    number(layer.dead_start.mean),
                    number(layer.dead_end.mean),
                    number(layer.revivals.mean, 2),
                )
            )
            for layer in found.layers
        ]
        columns = ("", ">units", ">dead at start", ">at end", ">revived")
        section.tables.append(Table(columns, rows))
    if full:
        section.notes.append(f"Dead: {found.how}.")
    return section


def points(diagnosis: Diagnosis, full: bool) -> Section:
    """What kind of point the dead and the live outputs stopped at."""
    section = Section("What kind of point training stopped at")
    found = diagnosis.points
    section.texts += [
        f"Outputs {point.group.value} after annealing ({number(point.outputs)}, loss at the end "
        f"{number(point.loss)}): {label(point.kind.value)}"
        f"{'. ' + _sentence(why(point)) if full else '.'}"
        for point in found
    ]
    if found and full:
        section.notes.append(KINKS)
    return section


def why(point: Point) -> str:
    """What makes it a point of that kind."""
    least, after = point.least_eigenvalue, f"{point.loss_annealed:.4g}"
    lowers = (
        f"letting the rate fall to 0 lowers the loss of these outputs from {point.loss:.4g} to "
        f"{after}"
    )
    match point.kind:
        case PointKind.PLATEAU:
            return (
                f"the gradient is exactly 0 and the loss {after}: nothing pulls on these "
                "outputs, whatever the step"
            )
        case PointKind.NOISE_BALL:
            return f"{lowers}: the constant step kept them jumping"
        case PointKind.NOT_YET_STATIONARY:
            return (
                f"one Gauss-Newton step promises {point.predicted_decrease:.3g} of the loss "
                f"{after} after annealing: still on the way"
            )
        case PointKind.SADDLE:
            assert least is not None and least.value is not None
            return (
                f"least eigenvalue {least.value:.3g} +- {least.error or 0.0:.1g} against a largest "
                f"of {point.largest_eigenvalue:.3g}"
            )
        case PointKind.DEGENERATE_MINIMUM:
            assert least is not None and least.value is not None
            flat = "an unknown number of" if point.flat_dim is None else f"{point.flat_dim:,}"
            return (
                f"no direction leads down (least eigenvalue {least.value:.2g}), and {flat} "
                "directions are flat"
            )
        case PointKind.UNDECIDED:
            if point.doubt is Doubt.ONE_SEED:
                return f"{lowers}, but one seed gives no standard error; use --seeds 2 or more"
            return "the least eigenvalue did not converge, so a saddle is not excluded"


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
