"""Findings, prescriptions and the three sentences, from what was measured and tried."""

from __future__ import annotations

from typing import Any

from jaxid.diagnosis.findings import build_findings
from jaxid.diagnosis.predicted import predicted_ratio
from jaxid.diagnosis.trials import Trial, trial_record
from jaxid.diagnosis.verdict import compound, verdict_sentences
from jaxid.wording import ranked


def conclude(record: dict[str, Any], trials: list[Trial]) -> None:
    """Add trials, findings, prescriptions and verdict to a record."""
    budget = record.get("budget")
    record["trials"] = [
        trial_record(trial, predicted_ratio(trial.remedy.name, budget)) for trial in trials
    ]
    accused = suspects(trials, record["problem"]["depth"])
    record["findings"] = build_findings(accused, budget)
    record["prescriptions"] = [
        {
            "name": t["name"],
            "change": t["change"],
            "predicted": t["predicted"],
            "built_in": t["built_in"],
            "trial": {
                key: t[key]
                for key in (
                    "before",
                    "after",
                    "ratio",
                    "ci95",
                    "seeds",
                    "seeds_lower",
                    "epochs",
                    "reference_epochs",
                )
            },
        }
        for t in ranked(record["trials"])
    ]
    record["certificate"] = None
    if budget:
        budget["compound"] = compound(record)
    record["verdict"] = verdict_sentences(record)


def suspects(trials: list[Trial], depth: int) -> list[Trial]:
    """Trials that can convict. One layer is no composition: what a skip connection cures
    there is something else."""
    return [t for t in trials if depth > 1 or t.remedy.suspect != "composition of layers"]
