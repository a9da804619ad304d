"""Units that died, and the kind of point where training stopped."""

from __future__ import annotations

from jaxid.core.wording import label, number, percent, plus_minus
from jaxid.report.content import Record, Row, Section, Table


def dead(record: Record, full: bool) -> Section:
    """Counts by layer, what they cost, when they died."""
    section = Section("Dead units", figures=("dead_units", "images"))
    found = record.get("dead")
    if not found:
        return section
    varying, constant = found["outputs_dead_varying"], found["outputs_dead_constant"]
    text = (
        f"At the end of training, of {found['outputs']:,} outputs "
        f"{plus_minus(varying['mean'], varying['sem'])} are "
        + ("dead and matter" if found["stops_gradient"] else "never positive")
    )
    if found["share_of_loss"] is not None and varying["mean"]:
        text += f", holding {percent(found['share_of_loss'])} of the loss"
    if found["constant_targets"]:
        text += (
            f"; {number(constant['mean'])} more on the {found['constant_targets']:,} "
            "targets that never vary, which costs nothing"
            if not found["loss_constant"]["mean"]
            else f"; {number(constant['mean'])} more on targets that never vary"
        )
    section.texts.append(text + ".")
    clock, born = found["death"], found.get("born_dead")
    if born and born["outputs"]["mean"]:
        section.texts.append(
            f"Dead from before the first step on: {number(born['outputs']['mean'])} of them, with "
            f"a loss of {number(born['loss']['mean'])}."
        )
    if clock["count"]:
        section.texts.append(
            f"Half of the deaths come by step {number(clock['median_step'])}, "
            f"{percent(clock['in_first_epoch'])} in the first epoch."
        )
    far = record.get("first_step") or {}
    if far.get("value") is not None:
        section.texts.append(
            "The very first step moves the outputs by "
            f"{plus_minus(far['value'], far['error'], 2)} times the size of the targets."
        )
    if not found["stops_gradient"]:
        section.texts.append("The activation lets gradients through there, so they can recover.")
    if full or len(found["layers"]) > 1:
        rows = [
            Row(
                (
                    f"layer {layer['layer']} ({layer['activation']})",
                    number(layer["units"]),
                    number(layer["dead_start"]["mean"]),
                    number(layer["dead_end"]["mean"]),
                    number(layer["revivals"]["mean"], 2),
                )
            )
            for layer in found["layers"]
        ]
        columns = ("", ">units", ">dead at start", ">at end", ">revived")
        section.tables.append(Table(columns, rows))
    if full:
        section.notes.append(f"Dead: {found['how']}.")
    return section


def points(record: Record, full: bool) -> Section:
    """What kind of point the dead and the live outputs stopped at."""
    section = Section("What kind of point training stopped at")
    found = record.get("points") or []
    section.texts += [
        f"Outputs {point['group']} after annealing ({number(point['outputs'])}, loss at the end "
        f"{number(point['loss'])}): {label(point['kind'])}"
        f"{'. ' + _sentence(point['why']) if full else '.'}"
        for point in found
    ]
    if found and full:
        section.notes += sorted({point["kinks"] for point in found if point.get("kinks")})
    return section


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
