"""Named entities: is what a masked language model has read worth anything for names that training never shows?

A linear layer over BERT's last hidden states tags each word (Devlin et al. 2018, section 5.3), and entities count when
words and type are right (Tjong Kim Sang and De Meulder 2003). On the embedded world a quarter of the names of the
evaluation sentences are in no training sentence.

    make ner                                            # the embedded world, English and Chinese, about a minute
    python recipes/ner.py --config configs/ner/tiny.yaml --dataset_name my/conll/folder --ablation ""
    accelerate launch recipes/ner.py --config configs/ner/bert-base-conll2003.yaml

Result: F1 rises from 0 to above .95, and after 50 or 200 sentences the pre-trained model finds unseen names that the
same model with random weights misses. Metrics (0 to 1, micro-averaged over entities; all also with _before):
eval_loss (mean per word), f1, precision, recall, f1_<TYPE>, f1_seen and f1_unseen (entities whose words are, or are
not, an entity of the training data); with --ablation f1_pretrained_<N>, f1_random_<N> and so for f1_unseen.
"""

from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.mentions import with_invented_names
from hfcourse.data.ner import TaggedSentences, tags_to_bio
from hfcourse.data.windows import Windows, to_windows
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.ner import Judge, Tagger, load_tagger, window_size
from hfcourse.run.ner_ablation import ablate, read_sizes
from hfcourse.run.ner_report import ERRORS, write_errors
from hfcourse.run.plan import describe_rows

from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification, TrainingArguments
from trl import ModelConfig


@dataclass
class NERArguments(RunArguments, DataArguments):
    columns: list[str] | None = field(
        default=None, metadata={"help": "Names of the columns of words and of tags, where they can't be told."}
    )
    tag_names: list[str] | None = field(default=None, metadata={"help": "Names of tags that are numbers, in order."})
    strict: bool = field(
        default=False,
        metadata={"help": "Refuse tags that are not to the letter of their scheme; score in seqeval's strict mode."},
    )
    max_length: int | None = field(
        default=None, metadata={"help": "Tokens of a window, a quarter of them shared; without it, all that fit."}
    )
    label_all_tokens: bool = field(default=False, metadata={"help": "Train on all tokens of a word, not the first."})
    invented_names: int = field(default=0, metadata={"help": "Copies of each training sentence with invented names."})
    ablation: str | None = field(
        default=None, metadata={"help": "Sentences, as 50,200,1000, to train on also from random weights."}
    )


def main():
    with start("ner", NERArguments, TrainingArguments, ModelConfig) as run:
        script, training, model_args = run.arguments
        sizes = read_sizes(script.ablation)

        data = load_data(script, TaggedSentences(script.columns, script.tag_names), training.seed)
        labels = tags_to_bio(data, script.strict, script.skip_bad_rows)

        model, tokenizer, labels, loaded = load_tagger(model_args, labels)
        size = window_size(model, tokenizer, script.max_length)
        rows = with_invented_names(data.train, script.invented_names, training.seed, data.notes)
        train = to_windows(rows, Windows(tokenizer, labels, *size, script.label_all_tokens), data.notes)
        test = judge = None
        if data.test is not None:
            test = to_windows(data.test, Windows(tokenizer, labels, *size), data.notes, shortest_first=True)
            judge = Judge(data.test.dataset, test.dataset, labels, data.train.dataset, script.strict)

        trainer = Tagger(
            model=model,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset if test else None,
            data_collator=DataCollatorForTokenClassification(tokenizer),
            processing_class=tokenizer,
            judge=judge,
            run=run,
        )

        notes = [loaded, *data.notes]
        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": notes}
        run.plan(trainer, tokenizer, model_args.model_name_or_path, facts)

        def measure():
            return {"eval_loss": trainer.evaluate()["eval_loss"], **judge.scores} if judge else {}

        def fresh(pretrained):
            if pretrained:
                return load_tagger(model_args, labels)[0]
            return AutoModelForTokenClassification.from_config(model.config)

        before = run.train(trainer, measure)
        after = measure()
        errors = run.on_main(lambda: write_errors(run.folder, judge)) if judge else []
        if judge and sizes:
            after |= ablate(trainer, judge, sizes, fresh, len(data.train.dataset))

        metrics = {f"{name}_before": value for name, value in before.items()} | after
        links = [f"[Confusions and errors]({ERRORS})"] if judge else []
        card = {
            "what": __doc__.split("\n\n")[1],
            "base_model": model_args.model_name_or_path,
            "dataset": script.dataset_name,
            "pipeline_tag": "token-classification",
            "data": [facts["train"], facts["eval"], *notes, *links],
            "samples": errors[::4],
        }
        curves = {"loss": ["loss", "eval_loss"], "F1": ["eval_f1", "eval_f1_seen", "eval_f1_unseen"]}
        run.finish(trainer, metrics, curves, card)


if __name__ == "__main__":
    recipe(main)
