"""Pre-training from scratch: does a model that only predicts tokens come to hold the facts of what it reads?

A tokenizer is trained on the corpus, documents are packed into blocks, and one of three objectives is learnt:
causal (GPT-2, Radford et al. 2019), masked (BERT, Devlin et al. 2018) or span corruption (T5, Raffel et al. 2020).

    make pretrain                                      # the embedded world, GPT-2, two minutes on two cores
    make pretrain CONFIG=configs/pretrain/bert-tiny.yaml                                # the same for a masked model
    python recipes/pretrain.py --config configs/pretrain/gpt2-tiny.yaml --learning_rate 1e-3
    accelerate launch recipes/pretrain.py --config configs/pretrain/gpt2-tiny.yaml --dataset_name my/texts

Result: perplexity on held-out documents falls from about the vocabulary's size to a few tokens. Whether the facts can
be asked for is another question (Allen-Zhu and Li 2023): `make sft` answers it. Metrics: perplexity_before, perplexity
(exp of the mean loss per predicted token, held-out documents).
"""

import math
from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.objectives import OBJECTIVES
from hfcourse.data.texts import Texts, to_blocks
from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.data.words import Words
from hfcourse.errors import InputError
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.mlm import MaskedTrainer
from hfcourse.run.models import from_scratch, load, read_architecture
from hfcourse.run.optimizer import adafactor
from hfcourse.run.plan import describe_rows
from hfcourse.run.trainer import RunTrainer

from transformers import AutoTokenizer, TrainingArguments


@dataclass
class PretrainArguments(RunArguments, DataArguments):
    objective: str = field(default="causal", metadata={"help": "What to predict.", "choices": list(OBJECTIVES)})
    architecture: dict | str | None = field(
        default=None, metadata={"help": "model_type (gpt2, bert, t5, llama, ...) and its sizes, as YAML or JSON."}
    )
    tokenizer_name_or_path: str | None = field(
        default=None, metadata={"help": "Use this tokenizer; without it one is trained on the training documents."}
    )
    vocab_size: int = field(default=1024, metadata={"help": "Size of the tokenizer to train."})
    block_size: int = field(default=128, metadata={"help": "Tokens in a packed block."})
    probability: float = field(default=0.15, metadata={"help": "Share of hidden tokens (masked, span)."})
    whole_word_masking: bool = field(default=False, metadata={"help": "Mask words as a whole (masked)."})

    def __post_init__(self):
        self.architecture = read_architecture(self.architecture)
        if self.architecture is None:
            raise InputError("--architecture is missing: a mapping with model_type and sizes, see configs/pretrain")
        if self.whole_word_masking and self.objective != "masked":
            raise InputError("--whole_word_masking belongs to --objective masked")


def main():
    with start("pretrain", PretrainArguments, TrainingArguments) as run:
        script, training = run.arguments
        training.remove_unused_columns = False  # the collator reads word_ids
        masked = script.objective == "masked"

        data = load_data(script, Texts(), training.seed)

        def texts():
            return (row["text"] for row in data.train.dataset)

        if script.tokenizer_name_or_path:
            tokenizer = load(AutoTokenizer, script.tokenizer_name_or_path, None)
        else:
            tokenizer = train_tokenizer(texts(), script.vocab_size, script.objective)
        words = Words(tokenizer, texts()) if script.whole_word_masking else None
        train = to_blocks(data.train, tokenizer, script.block_size, masked, words)
        test = to_blocks(data.test, tokenizer, script.block_size, masked, words) if data.test else None
        objective = OBJECTIVES[script.objective](tokenizer, training.seed, script.probability)

        model = from_scratch(script.objective, script.architecture, tokenizer)

        trainer = (MaskedTrainer if masked else RunTrainer)(
            model=model,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset.map(objective.fixed) if test else None,
            data_collator=objective,
            processing_class=tokenizer,
            optimizer_cls_and_kwargs=adafactor(training),
            run=run,
        )
        trainer.causal = script.objective == "causal"

        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": data.notes}
        run.plan(trainer, tokenizer, script.architecture["model_type"], facts)

        def measure():
            metrics = trainer.evaluate()
            return {"perplexity": math.exp(metrics["eval_loss"])} if metrics else {}

        before = run.train(trainer, measure)

        metrics = {f"{name}_before": value for name, value in before.items()} | measure()
        curves = {"loss": ["loss", "eval_loss"], "learning rate": ["learning_rate"]}
        card = {"what": __doc__.split("\n\n")[1], "data": [facts["train"], facts["eval"], *data.notes]}
        run.finish(trainer, metrics, curves, card)


if __name__ == "__main__":
    recipe(main)
