"""How to spend compute: what a model costs, which runs a budget pays for, and what their losses say. Pure functions."""
