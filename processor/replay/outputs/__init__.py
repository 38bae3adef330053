"""Where a replay's events go: one output for each lane."""
