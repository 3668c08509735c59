"""`cluster import`: source, plan, preflight, stage, commit, report."""
