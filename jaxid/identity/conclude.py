"""Findings, prescriptions and the three sentences, from what was measured and tried."""

from __future__ import annotations

from typing import Any

from jaxid.core.wording import ranked
from jaxid.identity.findings import build_findings
from jaxid.identity.predicted import predicted_ratio
from jaxid.identity.trials import Trial, trial_record
from jaxid.identity.verdict import compound, verdict_sentences


def conclude(record: dict[str, Any], trials: list[Trial]) -> None:
    """Add trials, findings, prescriptions and verdict to a record."""
    budget = record.get("budget")
    record["trials"] = [trial_record(trial, _predicted(trial, record)) for trial in trials]
    record["findings"] = build_findings(trials, budget)
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
    if budget:
        budget["compound"] = compound(record)
    record["verdict"] = verdict_sentences(record)


def _predicted(trial: Trial, record: dict[str, Any]) -> float | None:
    """The budget's prediction; it is that of the whole run, so none for shorter trials."""
    if trial.reference_epochs != record["problem"]["epochs"]:
        return None
    return predicted_ratio(trial.remedy.name, record.get("budget"))
