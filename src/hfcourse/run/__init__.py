"""The run folder of a recipe: arguments, plan, resume, record, plot, model card, push.

Only this package knows files, ranks and the Hub. The package itself imports nothing, so that the launcher starts at
once.
"""
