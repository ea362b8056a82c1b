"""Supervised fine-tuning: does it teach facts, or does it teach a model what it is being asked?

Instruction tuning in the sense of InstructGPT's first stage (Ouyang et al. 2022): next-token loss on the answers
alone. On the embedded world the base model has read every fact and answers no question; half of the facts are then
trained as questions, and the other half, never asked in training, is answered as well.

    make sft                                            # the embedded world: base model, then half a minute of SFT
    python recipes/sft.py --config configs/sft/tiny.yaml --dataset_name my.jsonl --exam none
    accelerate launch --config_file configs/accelerate/fsdp2.yaml recipes/sft.py --config configs/sft/gpt2-alpaca.yaml

Result: exact-match truthfulness goes from 0 to about 1 in both languages, asked or not. Metrics: eval_loss (mean per
counted token); with --exam, truth_<group>_<lang> (share of exact answers, 0 to 1), on the embedded world asked
(trained as questions) and unasked (met in pre-training text only), en and zh; all also with _before.
"""

from dataclasses import dataclass, field

from hfcourse.data.arguments import DataArguments
from hfcourse.data.conversations import Conversations
from hfcourse.data.encode import Encoder, encode_split
from hfcourse.data.load import load_data
from hfcourse.data.prompts import sample_prompts
from hfcourse.data.template import ensure_chat_template
from hfcourse.run.answers import generate, read_exam, take_exam
from hfcourse.run.arguments import RunArguments
from hfcourse.run.cli import recipe, start
from hfcourse.run.models import load_checkpoint, packing_note
from hfcourse.run.plan import describe_rows
from hfcourse.run.trainer import RunTrainer

from transformers import AutoModelForCausalLM
from trl import ModelConfig, SFTConfig, SFTTrainer, get_peft_config


@dataclass
class SFTArguments(RunArguments, DataArguments):
    exam: str | None = field(
        default=None, metadata={"help": "JSONL of questions with known answers, asked before, during and after."}
    )
    samples: int = field(default=10, metadata={"help": "Answers to write down before and after training."})
    max_new_tokens: int = field(default=48, metadata={"help": "Length of these answers."})


class SFT(RunTrainer, SFTTrainer):
    fused_head = True
    exam = ()

    def score(self):
        return take_exam(self.accelerator.unwrap_model(self.model), self.processing_class, self.exam)


def main():
    with start("sft", SFTArguments, SFTConfig, ModelConfig) as run:
        script, training, model_args = run.arguments
        exam = read_exam(script.exam)

        model, tokenizer, loaded = load_checkpoint(model_args, AutoModelForCausalLM)
        template = ensure_chat_template(tokenizer, training.chat_template_path)
        training.chat_template_path = None

        data = load_data(script, Conversations(training.dataset_text_field), training.seed)
        encoder = Encoder(tokenizer, training.max_length)
        model.generation_config.eos_token_id = encoder.stop_token_ids
        options = {"skip_bad_rows": script.skip_bad_rows, "num_proc": training.dataset_num_proc}
        train = encode_split(data.train, encoder, "Tokenising train", **options)
        test = encode_split(data.test, encoder, "Tokenising eval", **options) if data.test else None
        packing = packing_note(model, training)

        trainer = SFT(
            model=model,
            args=training,
            train_dataset=train.dataset,
            eval_dataset=test.dataset if test else None,
            processing_class=tokenizer,
            peft_config=get_peft_config(model_args),
            run=run,
        )
        trainer.exam = exam

        notes = [loaded, *data.notes, template, packing]
        facts = {"train": describe_rows(train), "eval": describe_rows(test), "data": notes}
        run.plan(trainer, tokenizer, model_args.model_name_or_path, facts)

        questions = sample_prompts(data.test or data.train, tokenizer, exam, script.samples)

        def measure():
            scores = trainer.evaluate()
            scores = {name: value for name, value in scores.items() if name == "eval_loss" or name.startswith("truth")}
            model = trainer.accelerator.unwrap_model(trainer.model)
            answers = generate(model, tokenizer, [q.ids for q in questions], script.max_new_tokens)
            return {"scores": scores, "answers": answers}

        before = run.train(trainer, measure)
        after = measure()

        metrics = {f"{name}_before": value for name, value in before["scores"].items()} | after["scores"]
        truths = [name for name in metrics if name.startswith("truth") and not name.endswith("_before")]
        pairs = zip(questions, before["answers"], after["answers"], strict=True)
        samples = [{"question": q.text, "expected": q.answer, "before": b, "after": a} for q, b, a in pairs]
        card = {
            "what": __doc__.split("\n\n")[1],
            "base_model": model_args.model_name_or_path,
            "dataset": script.dataset_name,
            "pipeline_tag": "text-generation",
            "data": [facts["train"], facts["eval"], *notes],
            "samples": samples,
        }
        run.finish(trainer, metrics, {"loss": ["loss", "eval_loss"], "truthfulness": truths}, card)


if __name__ == "__main__":
    recipe(main)
