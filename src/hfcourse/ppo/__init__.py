"""PPO for language models, as in InstructGPT: pure functions, and a trainer on TRL's online machinery.

>>> def short(completions, **columns):
...     return [-len(text) / 100 for text in completions]
>>> trainer = PPOTrainer("gpt2", reward_funcs=["my/reward", short], args=PPOConfig("out"), train_dataset=prompts)
>>> trainer.train()
"""

from hfcourse.ppo.config import PPOConfig
from hfcourse.ppo.rewards import RewardModel
from hfcourse.ppo.trainer import PPOTrainer


__all__ = ["PPOConfig", "PPOTrainer", "RewardModel"]
