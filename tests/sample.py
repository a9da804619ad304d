"""A made-up diagnosis, shaped like a real one on 4x4 images; no training needed.

Numbers are drawn or arbitrary, but consistent where a reader would check: the budget's items
sum to its total, null reasons to the null dimension.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np

from jaxid.core.provenance import Versions
from jaxid.core.statistics import Lack, Mean, Summary
from jaxid.core.types import Estimate
from jaxid.diagnosis.dead import BornDead, CensusCurves, DeadLayer, DeadUnits, DeathClock
from jaxid.diagnosis.final import Final, NonFinite, PercentageError
from jaxid.diagnosis.head_curvature import (
    Blocks,
    Conditioning,
    EffectiveCurve,
    EffectiveKappa,
    HeadCurvature,
    NoSpectra,
    NullCounts,
    SeedCurvature,
)
from jaxid.diagnosis.items import (
    AnnealingUncertainty,
    Budget,
    BudgetItem,
    Floors,
    Item,
    NoBudget,
    OneAtATime,
    Part,
    PartName,
    Solver,
    StillFalling,
    Total,
    Unexplained,
)
from jaxid.diagnosis.points import Group, Point, PointKind
from jaxid.identity.diagnosis import DiagnosedProblem, Diagnosis, Origin, Stage
from jaxid.identity.pictures import Images, LossCurves
from jaxid.identity.prescriptions import RemedyGroup
from jaxid.identity.representation import Reach, Representation
from jaxid.identity.solutions import TwoSolutions
from jaxid.identity.suspects import (
    Counterfactual,
    Evidence,
    Finding,
    Interaction,
    RatioWith,
    Remark,
    Suspect,
    Verdict,
)
from jaxid.identity.trial_results import (
    Prescribed,
    Prescription,
    TrialResult,
    TrialVerdict,
)
from jaxid.identity.well_posed import (
    Answer,
    Continuity,
    Existence,
    InputMoment,
    StabilityCurve,
    Uniqueness,
    WellPosed,
)

SIDE, SEEDS, EPOCHS = 4, 3, 60
PIXELS = SIDE * SIDE


def estimate(value: float | None, error: float | None = 1e-12, converged: bool = True) -> Estimate:
    return Estimate(value, error, converged, "exact, float64")


def mean(value: float, sem: float | None = 0.1) -> Mean:
    return Mean(value, sem)


def summary(values: np.ndarray) -> Summary:
    return Summary(
        float(values.mean()),
        float(values.std(ddof=1) / np.sqrt(values.size)),
        tuple(values.tolist()),
        (float(values.min()), float(values.max())),
        None,
    )


def trial(
    name: str, group: RemedyGroup, ratio: float | None, verdict: TrialVerdict, **more: Any
) -> TrialResult:
    values = {
        "name": name,
        "change": f"something relu -> {name}",
        "group": group,
        "suspect": "ReLU output",
        "predicted": None,
        "before": 1.0,
        "after": ratio,
        "seeds": 3,
        "seeds_lower": 2,
        "epochs": 60,
        "reference_epochs": 60,
        "note": "",
        "solved_at_start": False,
        "built_in": False,
        "ratio": ratio,
        "log_ratio": None if ratio is None else float(np.log(ratio)),
        "ci95": None if ratio is None else (ratio * 0.8, ratio * 1.25),
        "verdict": verdict,
        "tried": 3,
        "seeds_to_decide": 9 if verdict is TrialVerdict.UNCERTAIN else None,
    }
    return TrialResult(**(values | more))


def prescription(
    name: str, ratio: float, group: RemedyGroup = RemedyGroup.SINGLE, before: float = 1.0
) -> Prescription:
    told = Prescribed(before, before * ratio, ratio, (0.8 * ratio, 1.25 * ratio), 3, 3, 60, 60)
    return Prescription(name, f"something relu -> {name}", group, None, False, told)


def curvature(seed: int, null: NullCounts) -> HeadCurvature:
    return HeadCurvature(
        operator="last_layer_hessian",
        seed=seed,
        size=PIXELS * (PIXELS + 1),
        lambda_max=estimate(12.5),
        lambda_min_nonzero=estimate(3.1e-6),
        kappa=estimate(4.03e6),
        effective_kappa=EffectiveKappa(5.2e3, 1e-12, True, "exact, float64", 0.99, "last layer"),
        null_dim=sum(dataclasses.astuple(null)),
        null_share=sum(dataclasses.astuple(null)) / (PIXELS * (PIXELS + 1)),
        null_reasons=null,
        negative=0,
        near_threshold=0,
        least=estimate(-1e-15),
        threshold=4e-14,
        dead_units=0,
    )


def item(cause: Item, loss: float, explained: float, total: float, *parts: Part) -> BudgetItem:
    return BudgetItem(
        cause,
        loss,
        explained,
        0.02,
        0.02,
        None if total == 0 else loss / total,
        parts,
        f"how {cause.value} was measured",
    )


def problem() -> DiagnosedProblem:
    return DiagnosedProblem(
        data="digits",
        width=PIXELS,
        batch_size=32,
        epochs=EPOCHS,
        seeds=SEEDS,
        train_examples=200,
    )


def provenance() -> Origin:
    return Origin(
        git="0123456789ab",
        argv=("jaxid", "explain"),
        versions=Versions("0.1.0", "0.10.2", "0.10.2", "0.12.0", "0.2.6", "2.3.0", "3.11.2"),
        device="cpu: cpu, 2 cores",
        dtype="float32 training, float64 curvature",
        seeds=(0, 1, 2),
        started="2025-01-01T00:00:00+00:00",
        seconds=11.5,
        layout="sequential",
        trials="short",
        stages=(Stage("training", 5.0), Stage("everything else", 6.5)),
    )


def final() -> Final:
    draw = np.random.default_rng(0)
    fields = dataclasses.fields(Final)
    return Final(**{field.name: summary(draw.normal(1.0, 0.1, SEEDS)) for field in fields})


def dead() -> DeadUnits:
    return DeadUnits(
        layers=(DeadLayer(1, PIXELS, "relu", mean(0.0), mean(6.3), mean(0.3)),),
        census_seeds=SEEDS,
        outputs=PIXELS,
        outputs_dead=mean(6.3),
        outputs_dead_varying=mean(4.3),
        outputs_dead_constant=mean(2.0),
        constant_targets=2,
        loss_varying=mean(0.88),
        loss_constant=mean(0.0),
        share_of_loss=0.88,
        share_sem=0.01,
        revivals=mean(0.3),
        born_dead=BornDead(mean(0.0), mean(0.0)),
        death=DeathClock(13, 11.0, 0.8),
        stops_gradient=True,
        how="pre-activation <= 0 on all training examples",
    )


def budget(total: float = 1.0) -> Budget:
    return Budget(
        total=Total(total, 0.05, SEEDS),
        items=(
            item(Item.REPRESENTATION, 0.0, 0.0, total),
            item(
                Item.LOCKED,
                0.91 * total,
                0.90 * total,
                total,
                Part(PartName.DEAD_OUTPUTS, 0.88 * total),
                Part(PartName.SWITCHED_OFF_EXAMPLES, 0.02 * total),
            ),
            item(Item.SLOW_MODES, 0.04 * total, 0.045 * total, total),
            item(
                Item.OPTIMIZER_NOISE,
                0.05 * total,
                0.04 * total,
                total,
                Part(PartName.COHERENT, 0.03 * total),
                Part(PartName.INCOHERENT, 0.01 * total),
            ),
        ),
        unexplained=Unexplained(0.015 * total, 0.004, 0.015),
        annealing_uncertainty=AnnealingUncertainty(0.003, 0.001, 3, "twice"),
        still_falling=StillFalling(0.0, 0.001, 0.0, False, "slope of the training loss"),
        solver=Solver(3, True, 1e-6, 1e-3, 9, 0),
        one_at_a_time=(OneAtATime(Item.LOCKED, 0.9, 0.05, 3, "dead outputs made exact"),),
        slow_modes_detail=None,
    )


def point(group: Group, outputs: float, kind: PointKind) -> Point:
    return Point(
        group=group,
        outputs=outputs,
        loss=0.9,
        loss_annealed=0.88,
        gradient_norm=0.0,
        predicted_decrease=0.0,
        least_eigenvalue=estimate(-1e-15),
        largest_eigenvalue=12.5,
        flat_dim=102,
        flat_share=1.0,
        kind=kind,
        doubt=None,
    )


def images() -> Images:
    draw = np.random.default_rng(1)
    kinds = np.zeros((2, PIXELS), bool)
    kinds[0, :6] = True
    kinds[1, :2] = True
    shown = draw.integers(0, 17, (8, PIXELS)).astype(np.float32)
    answers = np.where(kinds[0], np.float32(0), shown)
    error = draw.random(PIXELS) * 5
    return Images(16.0, shown, answers, error, kinds[1], kinds[0], (SIDE, SIDE))


def two_solutions() -> TwoSolutions:
    shown = images().input[:1]
    other = shown + np.eye(PIXELS, dtype=np.float32)[:1] * 9
    return TwoSolutions(
        3,
        4.0,
        4.0,
        0.0,
        1e-15,
        1e-6,
        3.0,
        shown,
        shown,
        other,
        ("an inverted digit",),
        (SIDE, SIDE),
    )


def well_posed() -> WellPosed:
    eigenvalues = np.logspace(3, -4, 9)
    curve = StabilityCurve(eigenvalues, 1 / np.sqrt(eigenvalues), 1.0001 / np.sqrt(eigenvalues))
    return WellPosed(
        Existence(Answer.YES),
        Uniqueness(Answer.NO, 48, 3, PIXELS + 1, PIXELS, two_solutions()),
        Continuity(Answer.NO, 570.0, 1.0, 570.0, 0.02, 1.0, 9, 14, "least squares", curve),
    )


def moment(name: str, kappa: float) -> InputMoment:
    return InputMoment(
        name, estimate(2500.0), estimate(4e-4), estimate(kappa), 14, 3, 3000.0, 1e-12
    )


def spectra() -> Conditioning:
    draw = np.random.default_rng(2)
    spectrum = np.sort(10.0 ** draw.uniform(-6, 1, (PIXELS, PIXELS + 1)), axis=1)
    early, late = spectrum.copy(), spectrum.copy()
    early[:, :3] = 0.0
    late[:, :3] = 0.0
    late[:6] = 0.0
    share = 1.0 - np.logspace(0.0, -6.0, 61)
    ends = curvature(0, NullCounts(0, 32, 16, 0)), curvature(0, NullCounts(102, 20, 10, 4))
    edges = np.full(PIXELS, 1e-13)
    return Conditioning(
        *ends,
        seeds=(SeedCurvature(*ends),),
        spectrum_init=Blocks(early, edges),
        spectrum_end=Blocks(late, edges),
        effective=EffectiveCurve(share, 1.0 + 4e6 * share**660),
    )


def curves() -> LossCurves:
    draw = np.random.default_rng(3)
    epoch = np.arange(1, EPOCHS + 1)
    curve = 1.0 + 30.0 * np.exp(-epoch / 4.0)
    noise = np.exp(draw.normal(0, 0.05, (2, SEEDS, EPOCHS)))
    return LossCurves(epoch, curve * noise[0], 1.1 * curve * noise[1])


def census() -> CensusCurves:
    step = np.array([0, 1, 2, 3, 5, 7, 14, 28, 70, 140, 420])
    gone = np.minimum(6, np.arange(step.size))[None, None, :] + np.zeros((SEEDS, 1, 1), int)
    return CensusCurves(
        step,
        step / 7.0,
        gone,
        np.maximum(gone[:, 0] - 2, 0),
        np.linspace(0.0, 0.88, step.size)[None] * np.ones((SEEDS, 1)),
        np.geomspace(80.0, 1.0, step.size)[None] * np.ones((SEEDS, 1)),
    )


JOINT = "linear output + decaying rate"


def compound(ratio: float = 0.02, before: float = 1.0) -> Finding:
    return Finding(
        causes=(Suspect.LOCKED, Suspect.OPTIMIZER_NOISE),
        verdict=Verdict.CAUSE,
        rank=1,
        share=0.96,
        interaction=Interaction(-3.8, (-4.0, -3.6)),
        evidence=Evidence(
            Remark.ONLY_TOGETHER,
            apart=(RatioWith("linear output", 0.9), RatioWith("decaying rate", 0.97)),
            apart_share=0.03,
        ),
        counterfactual=Counterfactual(
            "output relu -> linear, schedule constant -> linear",
            JOINT,
            before,
            before * ratio,
            ratio,
            float(np.log(ratio)),
            (0.8 * ratio, 1.25 * ratio),
            3,
        ),
    )


def single(suspect: Suspect, remedy: str, verdict: Verdict, ratio: float = 1.0) -> Finding:
    return Finding(
        causes=(suspect,),
        verdict=verdict,
        rank=2,
        share=None,
        interaction=None,
        evidence=Evidence(),
        counterfactual=Counterfactual(
            f"something -> {remedy}",
            remedy,
            1.0,
            ratio,
            ratio,
            float(np.log(ratio)),
            (0.95 * ratio, 1.05 * ratio),
            3,
        ),
    )


def full() -> Diagnosis:
    """Everything there is."""
    alone, pair = RemedyGroup.SINGLE, RemedyGroup.PAIR
    return Diagnosis(
        problem=problem(),
        predicted_seconds=12.0,
        provenance=provenance(),
        final=final(),
        non_finite=(),
        mape=PercentageError(4.2e8, 0.9999999, 21.4, 0.49, 1e-7),
        dead=dead(),
        loss=curves(),
        census=census(),
        images=images(),
        first_step=Estimate(None, None, False, "not measured"),
        representation=Representation(
            estimate(0.0),
            (),
            "the targets are not negative, so ReLU leaves the identity as it is",
            Reach.EXACT,
            estimate(0.0),
            "the identity matrix and zero biases",
        ),
        moments=(
            moment("[x, 1]", 6.07e6),
            moment("covariance", 9.1e5),
            moment("standardized covariance", 310.0),
        ),
        well_posed=well_posed(),
        budget=budget(),
        budget_reason=None,
        floors=Floors(
            np.full(SEEDS, 1.0), np.full(SEEDS, 0.95), np.full(SEEDS, 0.91), representation=0.0
        ),
        conditioning=spectra(),
        points=(
            point(Group.DEAD, 6.3, PointKind.PLATEAU),
            point(Group.LIVE, 9.7, PointKind.NOISE_BALL),
        ),
        certificate={
            "region": "every feature from 0 to 16",
            "seed": 0,
            "lower": dataclasses.asdict(estimate(12.5)),
            "upper": dataclasses.asdict(estimate(31.0)),
            "method": "crown",
            "rounding": "in float64, widened",
        },
        prediction=None,
        trials=(
            trial("linear output", alone, 0.9, TrialVerdict.UNCERTAIN, predicted=0.09),
            trial(
                "decaying rate",
                alone,
                0.97,
                TrialVerdict.NOTHING,
                ci95=(0.95, 0.99),
                predicted=0.95,
            ),
            trial("Adam", alone, 1.6, TrialVerdict.HARMS),
            trial("rate x 1000", alone, None, TrialVerdict.NON_FINITE, non_finite=3),
            trial(JOINT, pair, 0.02, TrialVerdict.HELPS, predicted=0.04),
            trial("random change 1", RemedyGroup.CONTROL, 1.1, TrialVerdict.UNCERTAIN),
        ),
        findings=(
            compound(),
            single(Suspect.INITIALISATION, "He initialisation", Verdict.NOT_A_CAUSE),
        ),
        prescriptions=(prescription(JOINT, 0.02, pair),),
        interrupted=None,
        epochs_finished=None,
    )


def minimal() -> Diagnosis:
    """Every seed blew up, nothing could be measured."""
    nothing = Summary(None, None, (None,), None, Lack.NO_FINITE_SEED)
    return replace(
        full(),
        problem=replace(problem(), seeds=1),
        final=Final(nothing, nothing, nothing, None, None, None, None),
        non_finite=(NonFinite(0, 17),),
        mape=None,
        dead=None,
        loss=LossCurves(np.arange(1, 3), np.full((1, 2), np.nan), None),
        census=None,
        images=None,
        representation=None,
        moments=(),
        well_posed=None,
        budget=None,
        budget_reason=NoBudget.EVERY_SEED_NON_FINITE,
        floors=None,
        conditioning=Conditioning(None, None, NoSpectra.NO_FINITE_SEED),
        points=(),
        certificate=None,
        trials=(),
        findings=(),
        prescriptions=(),
    )


def one_seed() -> Diagnosis:
    """One seed, no remedies, no test set: no standard errors, no intervals."""
    found = full()
    alone = {
        name: None if value is None else replace(value, sem=None, interval95=None,
                                                 reason=Lack.ONE_SEED)
        for name, value in vars(found.final).items()
    }  # fmt: skip
    split, curves, levels = found.budget, found.census, found.floors
    assert split is not None and curves is not None and levels is not None
    return replace(
        found,
        final=Final(**alone),
        mape=None,
        budget=replace(
            split,
            total=Total(split.total.mean, None, 1),
            unexplained=replace(split.unexplained, sem=None),
            items=tuple(replace(item, sem=None) for item in split.items),
        ),
        loss=LossCurves(found.loss.epoch, found.loss.train[:1], None),
        census=replace(
            curves,
            dead=curves.dead[:1],
            dead_varying=curves.dead_varying[:1],
            dead_loss=curves.dead_loss[:1],
            loss=curves.loss[:1],
        ),
        floors=Floors(levels.end[:1], levels.annealed[:1], levels.solved[:1], 0.0),
        trials=(),
        findings=(),
        prescriptions=(),
    )


def no_images() -> Diagnosis:
    """Made data: no pictures, a unique solution."""
    found = full()
    shown, posed = found.images, found.well_posed
    assert shown is not None and posed is not None
    return replace(
        found,
        problem=replace(found.problem, data="gaussian"),
        images=replace(shown, shape=None),
        well_posed=replace(posed, unique=Uniqueness(Answer.YES, 0, 0, PIXELS + 1, PIXELS, None)),
    )


def deep() -> Diagnosis:
    """Four layers; a condition number that is not known, one seed that blew up."""
    found = full()
    gone, curves, split = found.dead, found.census, found.budget
    assert gone is not None and curves is not None and split is not None
    unknown = Estimate(None, None, False, "no gap at the threshold")

    def at(end: HeadCurvature | None) -> HeadCurvature:
        assert end is not None
        return replace(end, kappa=unknown, null_reasons=None, null_dim=None, negative=3)

    train, test = found.loss.train.copy(), np.array(found.loss.test)
    train[2, 30:] = np.nan
    test[2, 30:] = np.nan
    counts = curves.dead
    return replace(
        found,
        problem=replace(found.problem, depth=4),
        non_finite=(NonFinite(2, 400),),
        dead=replace(gone, layers=tuple(replace(gone.layers[0], layer=i + 1) for i in range(4))),
        conditioning=replace(
            found.conditioning,
            at_init=at(found.conditioning.at_init),
            at_end=at(found.conditioning.at_end),
        ),
        census=replace(
            curves, dead=np.concatenate([counts // 2, counts // 3, counts // 4, counts], axis=1)
        ),
        loss=LossCurves(found.loss.epoch, train, test),
    )


def cases() -> dict[str, Diagnosis]:
    """Every kind of diagnosis by name."""
    return {
        "full": full(),
        "minimal": minimal(),
        "one_seed": one_seed(),
        "no_images": no_images(),
        "deep": deep(),
    }
