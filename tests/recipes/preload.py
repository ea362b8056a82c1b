"""Imported once by the fork server of runner.py: every recipe with all that it imports, so that runs start at once."""

import runpy
from pathlib import Path

import matplotlib.pyplot  # noqa: F401
import peft  # noqa: F401
import transformers.models.gpt2.modeling_gpt2
import transformers.models.llama.modeling_llama  # noqa: F401


for recipe in sorted(Path(__file__).parents[2].glob("recipes/*.py")):
    runpy.run_path(str(recipe))
