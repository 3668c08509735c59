"""What people see: lines, bars, plans, prompts; and JSON for programs."""
