"""A language model with a memory of texts: kNN-LM (Khandelwal et al. 2020) on any causal checkpoint."""
