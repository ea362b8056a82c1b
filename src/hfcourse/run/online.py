"""RunTrainer for trainers that draw their own answers to prompts, such as PPOTrainer or TRL's GRPOTrainer."""

from typing import Any

from hfcourse.run.trainer import RunTrainer

import torch


class OnlineRunTrainer(RunTrainer):
    """`class PPO(OnlineRunTrainer, PPOTrainer)`: what RunTrainer gives, for batches that are lists of prompts.

    Losses and evaluations are the trainer's own; tokens a second are those of prompts and answers.
    """

    def prediction_step(self, *args: Any, **kwargs: Any) -> tuple:
        return super(RunTrainer, self).prediction_step(*args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        with self.off_the_clock():
            return super(RunTrainer, self).evaluation_loop(*args, **kwargs)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        loss = super(RunTrainer, self).training_step(model, inputs, num_items_in_batch)
        self.check_number(loss)
        return loss

    def rows_of_step(self) -> str:
        """None: a step reads answers that were drawn, not rows."""
        return ""

    def speed(self) -> dict[str, float]:
        """As for every recipe; TRL counts the tokens of all processes, over all sessions."""
        seconds = self.meters["seconds"]
        tokens = self.state.num_input_tokens_seen
        return {"seconds": round(seconds, 3), "tokens_per_second": round(tokens / max(seconds, 1e-9), 1)}
