"""The Transformer, written to be read; imported, it is among the models that transformers' Auto classes know."""

from hfcourse.transformer import model
from hfcourse.transformer.config import TransformerConfig

import transformers


transformers.AutoConfig.register("hfcourse", TransformerConfig)
for auto, name in {
    "AutoModel": "Transformer",
    "AutoModelForCausalLM": "TransformerForCausalLM",
    "AutoModelForMaskedLM": "TransformerForMaskedLM",
    "AutoModelForSeq2SeqLM": "TransformerForConditionalGeneration",
    "AutoModelForTokenClassification": "TransformerForTokenClassification",
    "AutoModelForSequenceClassification": "TransformerForSequenceClassification",
}.items():
    getattr(transformers, auto).register(TransformerConfig, getattr(model, name))
