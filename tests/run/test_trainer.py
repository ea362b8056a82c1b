"""What RunTrainer adds to a Trainer, where no recipe is needed to see it."""

from types import SimpleNamespace

from hfcourse.run.trainer import RunTrainer

from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments


class Plain(RunTrainer, Trainer):
    counted_loops = 0

    def evaluation_loop(self, *args, **kwargs):
        self.counted_loops += 1
        return super().evaluation_loop(*args, **kwargs)

    def score(self):
        return {"truth": float(self.counted_loops)}


def test_what_no_step_has_changed_is_not_evaluated_again(tmp_path):
    rows = Dataset.from_dict({"input_ids": [[1, 2, 3]] * 4, "labels": [[1, 2, 3]] * 4})
    settings = {"max_steps": 2, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "no", "use_cpu": True}
    given = {"train_dataset": rows, "eval_dataset": rows}
    given["run"] = SimpleNamespace(
        folder=tmp_path, given={}, last_checkpoint=lambda: None, stop_requested=lambda: False, measure_before=None
    )
    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_embd=8, n_layer=1, n_head=1, n_positions=4))
    for best, loops in ((False, 3), (True, 4)):
        args = TrainingArguments(str(tmp_path), report_to="none", **settings)
        trainer = Plain(model, args, **given)
        trainer.run.measure_before = trainer.evaluate
        trainer.train()
        assert trainer.counted_loops == 3, "before the first step and after each"
        args.load_best_model_at_end = best  # other weights than those of the last step
        found = trainer.evaluate()
        assert (trainer.counted_loops, found["truth"]) == (loops, loops)
        assert trainer.evaluate(rows.select([0]))["truth"] == loops + 1, "other data were asked for"
        assert trainer.evaluate()["truth"] == (loops + 2 if best else loops), "and are not taken for the usual ones"
