"""Can a network represent the target at all, and how far off is it, on which inputs?"""
