"""How to spend compute: what a model costs, which runs a budget pays for, what their losses say. Pure functions."""
