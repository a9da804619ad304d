"""What the percentage error is made of."""

from __future__ import annotations

from jaxid.core.wording import number, percent
from jaxid.identity.diagnosis import Diagnosis
from jaxid.report.content import Section


def percentage_error(diagnosis: Diagnosis, full: bool) -> Section:
    """Why the percentage error is as large as it is."""
    section = Section("The percentage error")
    found = diagnosis.mape
    if found is None:
        return section
    text = f"MAPE is {number(found.total)} %"
    if found.share_zero_targets:
        text += f"; {percent(found.share_zero_targets)} of it comes from targets that are 0"
        if found.share_zero_targets > 0.5:
            text += (
                f" ({percent(found.zero_share_of_targets)} of them), which are divided by "
                f"{found.floor:g} in place of 0. All other targets contribute "
                f"{number(found.without_zero_targets)} %. It measures the zeros, not the learning"
            )
    section.texts.append(text + ".")
    return section
