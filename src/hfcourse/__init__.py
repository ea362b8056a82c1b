"""hfcourse: recipes that show how language models are made, and make them."""

import os


__version__ = "0.1.0"

# huggingface_hub reads its switches once, at import: a course that promises no telemetry has to say so before that.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
