"""Reward modelling: does a model trained on people's preferences judge what is true, or only what sounds right?

InstructGPT's second stage (Ouyang et al. 2022, section 3.5): the fine-tuned model gets a head of one number and learns
to score the better of two answers higher; a ranking of K answers is all of its pairs in one batch, and counts as one
prompt. On the embedded world pairs differ in truth, helpfulness, harmlessness or style. No training pair mentions a
fact of a held-out one, so what is true there the model can only know from its pre-training.

    make reward                                         # the embedded world, from runs/sft/tiny
    python recipes/reward.py --config configs/reward/tiny.yaml --dataset_name my/pairs.jsonl
    accelerate launch recipes/reward.py --config configs/reward/qwen2.5-0.5b-ultrafeedback.yaml

Result: style is judged nearly perfectly, truth in .94 of the pairs (docs/concepts/reward.md). Metrics: eval_loss (mean
per prompt), accuracy and accuracy_<aspect> (share of pairs in the right order, 0 to 1), ece (of sigmoid(margin), 0 to
.5), length_correlation (of reward and length among answers to one prompt, -1 to 1), all also with _before; longer_wins
(the accuracy of preferring the longer answer).
"""

from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.kept import bring_texts
from hfcourse.data.load import load_data
from hfcourse.data.preferences import Preferences
from hfcourse.data.ranked import SHARED, RankedCollator, check_prompts, describe_rankings, encode_answers, is_plain
from hfcourse.data.template import ensure_chat_template
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.models import longest_input
from hfcourse.run.plan import describe_rows
from hfcourse.run.reward import Judge, Ranker, load_reward
from hfcourse.run.reward_keep import KeepArguments
from hfcourse.run.reward_report import RELIABILITY, describe_pairs, plot_reliability, sample_pairs
from hfcourse.run.scoring import Reader

from trl import ModelConfig, RewardConfig


@dataclass
class RewardArguments(RunArguments, DataArguments, KeepArguments):
    shared_prompts: str = field(default="refuse", metadata={"help": "Prompts on both sides.", "choices": list(SHARED)})
    aspect_column: str = field(default="aspect", metadata={"help": "Column that names what a pair is about."})
    new_blocks: int = field(default=0, metadata={"help": "Blocks to add on top, which begin as the identity."})
    samples: int = field(default=8, metadata={"help": "Held-out pairs to write down with their margins."})


def main():
    with start("reward", RewardArguments, RewardConfig, ModelConfig) as run:
        script, training, model_args = run.arguments
        training.remove_unused_columns = False  # the collator reads ranks

        model, tokenizer, loaded = load_reward(model_args, script.new_blocks)
        data = load_data(script, Preferences(script.shared_prompts != "allow", script.aspect_column), training.seed)
        check_prompts(data, script.shared_prompts)
        template = ensure_chat_template(tokenizer, training.chat_template_path)
        training.chat_template_path = None
        if is_plain(data.train):
            tokenizer.chat_template = None  # so that nobody scores conversations with this model
            template = f"Texts are read as they stand, each ended by {tokenizer.eos_token}, without a chat template."

        longest = min(training.max_length or 10**9, longest_input(model, tokenizer))
        reading = {"read": Reader(tokenizer), "longest": longest, "skip_bad_rows": script.skip_bad_rows}
        reading["num_proc"] = training.dataset_num_proc
        train = encode_answers(data.train, "Tokenising train", **reading)
        notes = [loaded, *data.notes, template, f"Rows with more than {longest} tokens to read are dropped, not cut."]
        kept = None
        if script.keep_texts:
            seed = training.seed if script.rival_coef else None
            train, kept = bring_texts(train, script.keep_texts, tokenizer, longest, notes, seed)
        test = encode_answers(data.test, "Tokenising eval", shortest_first=True, **reading) if data.test else None
        judge = Judge(test.dataset) if test else None

        trainer = Ranker(
            model=model,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset if test else None,
            data_collator=RankedCollator(tokenizer.pad_token_id, kept),
            processing_class=tokenizer,
            source=model_args,
            judge=judge,
            keep=script,
            run=run,
        )

        facts = {"train": describe_rows(train) + describe_rankings(train)}
        facts["eval"] = describe_rows(test) + describe_rankings(test)
        run.plan(trainer, tokenizer, model_args.model_name_or_path, facts | {"data": notes})

        places = sample_pairs(judge, script.samples) if judge else []

        def measure():
            if not judge:
                return {"scores": {}, "margins": []}
            loss = trainer.evaluate()["eval_loss"]
            return {"scores": {"eval_loss": loss, **judge.scores}, "margins": judge.margins[places].tolist()}

        before = run.train(trainer, measure)
        after = measure()

        metrics = {f"{name}_before": value for name, value in before["scores"].items()} | after["scores"]
        samples = []
        if judge:
            metrics["longer_wins"] = judge.longer_wins
            samples = describe_pairs(judge, test.dataset, tokenizer, places, (before["margins"], after["margins"]))
            run.on_main(lambda: plot_reliability(run.folder / RELIABILITY, judge))
        card = {
            "what": __doc__.split("\n\n")[1],
            "base_model": model_args.model_name_or_path,
            "dataset": script.dataset_name,
            "pipeline_tag": "text-classification",
            "data": [*facts.values(), *notes, *([f"![calibration]({RELIABILITY})"] if judge else [])],
            "samples": samples,
        }
        accuracies = [f"eval_{name}" for name in after["scores"] if name.startswith("accuracy")]
        run.finish(trainer, metrics, {"loss": ["loss", "eval_loss"], "accuracy": ["accuracy", *accuracies]}, card)


if __name__ == "__main__":
    recipe(main)
