"""RLHF: which of ChatGPT's stages made the model better at what, and does the reward model notice when it got worse?

Base model, supervised fine-tuning, PPO (Ouyang et al. 2022), PPO without its penalty on KL, and best-of-n of the
fine-tuned model by the same reward model at the KL of PPO: each answers the same prompts, and on the embedded world
every answer is judged by what is true there. Nothing is trained here: the stages are made by their own recipes.

    make rlhf                                # the embedded world: pretrain, sft, reward, ppo and ppo without KL first
    python recipes/rlhf.py --config configs/rlhf/tiny.yaml --ppo runs/ppo/mine --output_dir runs/rlhf/mine
    accelerate launch recipes/rlhf.py --config configs/rlhf/tiny.yaml

Result: docs/concepts/rlhf.md. Metrics <stage>_<measure> of base, sft, ppo, ppo_no_kl, best_of_n. Measures: helpful,
truthful, harmless (shares, with --conduct), reward (mean score), kl (nats an answer, from sft), length (tokens), ece
(0 to 1; of the choice between the answers that a question can have, with --conduct); best_of_n_answers is n.
"""

from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.online import Prompts, fit_prompts
from hfcourse.data.template import ensure_chat_template
from hfcourse.metrics.conduct import text_of
from hfcourse.ppo import RewardModel
from hfcourse.ppo.stages import Questioner, Stage
from hfcourse.run import rlhf
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.conduct import conduct_scores, read_choices
from hfcourse.run.evaluation import Journal, describe, do_pieces, refuse_training, show_texts, speed, write_records
from hfcourse.run.models import load_named, longest_input
from hfcourse.run.plan import describe_rows
from hfcourse.run.show import stages_table

from transformers import AutoModelForSequenceClassification, TrainingArguments


@dataclass
class RLHFArguments(RunArguments):
    dataset_name: str | None = field(default=None, metadata={"help": "Prompts: a file, a folder, or a Hub id."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Commit, tag or branch on the Hub."})
    dataset_test_split: str = field(default="test", metadata={"help": "Split whose prompts are asked."})
    eval_share: float = field(default=0.05, metadata={"help": "Share that is asked where there is no such split."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Ask the first N prompts."})
    base: str | None = field(default=None, metadata={"help": "The pre-trained model, with the tokens of sft."})
    sft: str | None = field(default=None, metadata={"help": "The fine-tuned model: KL is measured from it."})
    reward_model: str | None = field(default=None, metadata={"help": "A classifier: folder, Hub id or id@revision."})
    reward_label: str | None = field(default=None, metadata={"help": "Which of its labels' logit is the score."})
    ppo: str | None = field(default=None, metadata={"help": "What PPO made of sft; its log is drawn, if any."})
    ppo_no_kl: str | None = field(default=None, metadata={"help": "The same without a penalty on KL."})
    conduct: str | None = field(default=None, metadata={"help": "JSONL by which answers are judged."})
    max_completion_length: int = field(default=64, metadata={"help": "Tokens of an answer at most."})
    draws: int = field(default=4, metadata={"help": "Answers of each stage to each prompt."})
    best_of: int = field(default=16, metadata={"help": "Answers of sft, of which best-of-n takes n."})
    batch_size: int = field(default=128, metadata={"help": "Answers at a time."})
    samples: int = field(default=6, metadata={"help": "Prompts whose answers are shown side by side."})


def main():
    with start("rlhf", RLHFArguments, TrainingArguments) as run:
        script, training = run.arguments
        refuse_training(run)
        rlhf.refuse_missing(script)
        sources = {name: getattr(script, name) for name in ("base", "sft", "ppo", "ppo_no_kl")}
        models, tokenizer = rlhf.load_policies(sources, training.device)
        reward_model, reader = load_named(AutoModelForSequenceClassification, script.reward_model)
        reward = RewardModel(reward_model.to(training.device), reader, script.reward_label)
        draws = {name: script.best_of if name == "sft" else script.draws for name in models}
        stages = {name: Stage(name, sources[name], model, draws[name]) for name, model in models.items()}

        template = ensure_chat_template(tokenizer)
        names = ("dataset_name", "dataset_revision", "dataset_test_split", "eval_share", "max_eval_samples")
        data = load_data(DataArguments(**{n: getattr(script, n) for n in names}), Prompts(), training.seed)
        longest = min(longest_input(model, tokenizer) for model in models.values()) - script.max_completion_length
        test = fit_prompts(data.test or data.train, tokenizer, longest)
        prompts = test.dataset["prompt"][:]
        choices, right = read_choices(script.conduct, prompts)
        length = script.max_completion_length
        questioner = Questioner(stages["sft"], tokenizer, reward, prompts, choices, length, training.seed)
        pieces = questioner.pieces(list(stages.values()), script.batch_size)

        named = {f"{name} {stage.source}": stage.model for name, stage in stages.items()}
        facts = describe(run, named | {f"reward {script.reward_model}": reward_model})
        facts |= {"eval": describe_rows(test), "data": [*data.notes, template]}
        facts["answers"] = f"{script.draws} of each stage to each prompt; {script.best_of} of sft, for best-of-n."
        facts["choices"] = f"Between given answers, for {len(right):,} of {len(prompts):,} prompts."
        first = range(min(2, len(prompts)))
        titles = [f"up to {length} tokens are drawn behind it; {len(choices[row])} choices" for row in first]
        shown = [choices[row][right[row]] if row in right else "" for row in first]
        texts = zip(titles, tokenizer.batch_decode(questioner.ids[:2]), shown, strict=True)
        run.announce(facts, lambda: show_texts(list(texts), run.console))

        journal = Journal(run)
        lines = do_pieces(run, pieces, journal)
        judges = conduct_scores(script.conduct)
        answers = {name: rlhf.collect_answers(lines, name, prompts, judges) for name in stages}
        table, by_n = rlhf.compare(lines, answers, right)
        metrics = rlhf.named(table)
        asked = [text_of(prompt) for prompt in prompts]
        logs = {name: rlhf.read_training(sources[name]) for name in ("ppo", "ppo_no_kl") if name in stages}
        card = {
            "what": " ".join(__doc__.split("\n\n")[1].split()),
            "base_model": script.sft,
            "dataset": script.dataset_name,
            "pipeline_tag": "text-generation",
            "data": [facts["eval"], *data.notes, facts["answers"]],
            "tables": [("Means over answers", *stages_table(metrics))],
            "samples": rlhf.side_by_side(answers, asked, table[rlhf.BEST]["answers"], script.samples),
        }

        def write():
            rows = rlhf.metric_rows(table, by_n, logs)
            plots = {"curves.png": lambda path: rlhf.plot(path, by_n, logs)}
            write_records(run.folder, rlhf.sample_rows(answers, asked), rows, plots)

        run.conclude({"metrics": metrics, **speed(list(lines.values()), journal.processes)}, write, card)
        run.on_main(journal.remove)


if __name__ == "__main__":
    recipe(main)
