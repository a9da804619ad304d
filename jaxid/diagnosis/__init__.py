"""Why a network did not learn: evidence, causes, budget, remedies, verdict."""
