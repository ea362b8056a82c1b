"""What came before the Transformer; imported, its recurrent models are known to transformers' Auto classes."""

from hfcourse.baselines.recurrent import RecurrentConfig, RecurrentForCausalLM

import transformers


transformers.AutoConfig.register("recurrent", RecurrentConfig)
transformers.AutoModelForCausalLM.register(RecurrentConfig, RecurrentForCausalLM)
