"""PPO: does a model that is paid for what people prefer become better, or better at being paid?

InstructGPT's third stage (Ouyang et al. 2022, section 3.5): a reward model scores answers that are drawn, and proximal
policy optimisation (Schulman et al. 2017) raises the score, held back by a penalty on the KL divergence from the first
model. That one learnt, on the embedded world, from people of whom some are evasive, rude, wrong or indiscreet; what is
helpful, truthful and harmless there is known without any model.

    make ppo                                            # the embedded world: from runs/sft/people, runs/reward/people
    python recipes/ppo.py --config configs/ppo/tiny.yaml --dataset_name my.jsonl --reward_model my/model --conduct none
    accelerate launch --config_file configs/accelerate/zero3.yaml recipes/ppo.py --config configs/ppo/pythia-tldr.yaml

Result: answers become more helpful, truthful and harmless. Metrics, of one answer drawn to each evaluation
prompt: reward (mean score), kl (nats an answer, from the first model); with --conduct helpful, truthful and harmless
(shares, 0 to 1); all but kl also with _before.
"""

from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.load import load_data
from hfcourse.data.online import Prompts, fit_prompts
from hfcourse.data.template import ensure_chat_template
from hfcourse.metrics.conduct import CONDUCT
from hfcourse.ppo import PPOConfig, PPOTrainer, RewardModel
from hfcourse.ppo.rules import RULES
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.conduct import conduct_scores
from hfcourse.run.models import load_checkpoint, load_named, longest_input
from hfcourse.run.online import OnlineRunTrainer
from hfcourse.run.plan import describe_rows

from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from trl import ModelConfig, get_peft_config


@dataclass
class PPOArguments(RunArguments, DataArguments):
    reward_model: str | None = field(
        default=None, metadata={"help": "A classifier: a folder, a Hub id, or id@revision."}
    )
    reward_label: str | None = field(default=None, metadata={"help": "Which of its labels' logit is the score."})
    rules: list[str] | None = field(default=None, metadata={"help": "Rules that pay as well.", "choices": list(RULES)})
    critic: str = field(
        default="reward", metadata={"help": "What the critic begins as: reward (model), policy, or a checkpoint."}
    )
    conduct: str | None = field(default=None, metadata={"help": "JSONL by which answers are judged; nothing is paid."})
    prompt_tokens: int | None = field(default=None, metadata={"help": "Texts are cut to so many tokens to go on."})
    samples: int = field(default=10, metadata={"help": "Answers to write down before and after training."})


class PPO(OnlineRunTrainer, PPOTrainer):
    pass


def load_reward(script):
    if script.reward_model is None:
        return []
    model, tokenizer = load_named(AutoModelForSequenceClassification, script.reward_model)
    return [RewardModel(model, tokenizer, script.reward_label, name="reward_model")]


def main():
    with start("ppo", PPOArguments, PPOConfig, ModelConfig) as run:
        script, training, model_args = run.arguments
        rewards = load_reward(script) + [RULES[name] for name in script.rules or []]
        scores = conduct_scores(script.conduct)  # of weight 0
        training.reward_weights = (training.reward_weights or [1.0] * len(rewards)) + [0.0] * len(scores)

        model, tokenizer, loaded = load_checkpoint(model_args, AutoModelForCausalLM)
        template = ensure_chat_template(tokenizer)
        data = load_data(script, Prompts(), training.seed)
        longest = longest_input(model, tokenizer) - training.max_completion_length
        train = fit_prompts(data.train, tokenizer, longest, script.prompt_tokens)
        test = fit_prompts(data.test, tokenizer, longest, script.prompt_tokens) if data.test else None
        whole = script.reward_model and not script.reward_label and not training.share_trunk
        critics = {"policy": None, "reward": rewards[0].model if whole else None}

        trainer = PPO(
            model=model,
            reward_funcs=rewards + scores,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset if test else None,
            processing_class=tokenizer,
            critic=critics.get(script.critic, script.critic),
            peft_config=get_peft_config(model_args),
            run=run,
        )

        notes = [loaded, *data.notes, template, f"Paid for: {', '.join(reward.__name__ for reward in rewards)}."]
        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": notes}
        run.plan(trainer, tokenizer, model_args.model_name_or_path, facts)

        def measure():
            found = trainer.evaluate() if test else {}
            names = {"eval_reward": "reward", "eval_kl": "kl"} | {f"eval_rewards/{name}": name for name in CONDUCT}
            kept = {name: found[key] for key, name in names.items() if key in found}
            return {"scores": kept, "answers": trainer.evaluated[: script.samples]}

        before = run.train(trainer, measure)
        after = measure()

        metrics = {f"{k}_before": v for k, v in before["scores"].items() if k != "kl"} | after["scores"]
        answers = zip(before["answers"], after["answers"], strict=True)
        card = {
            "what": __doc__.split("\n\n")[1],
            "base_model": model_args.model_name_or_path,
            "dataset": script.dataset_name,
            "pipeline_tag": "text-generation",
            "data": [facts["train"], facts["eval"], *notes],
            "samples": [{"prompt": b["prompt"], "before": b["answer"], "after": a["answer"]} for b, a in answers],
        }
        curves = {"reward": ["reward", "eval_reward"], "KL in nats an answer": ["kl", "eval_kl"]}
        run.finish(trainer, metrics, curves | {"conduct": [f"eval_rewards/{name}" for name in CONDUCT]}, card)


if __name__ == "__main__":
    recipe(main)
