"""How fast and how long: rates, deadlines, budgets of memory and threads."""
