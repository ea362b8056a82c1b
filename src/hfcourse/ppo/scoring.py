"""Log-probabilities, entropies and values of answers: work on answer tokens alone, on rows trimmed to their length.

Rows hold prompt and answer from position 0, padding behind them, so that no model needs to be told its positions.
"""

import copy
import functools
import types
from dataclasses import dataclass
from typing import Any

from hfcourse.errors import InputError
from hfcourse.ppo.head import TokenLogProbs

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, LogitsProcessor, PreTrainedModel
from transformers.activations import GELUTanh, NewGELUActivation
from transformers.utils import ModelOutput


BLOCK = 256  # tokens of the vocabulary that are summed up at a time to find the one that is drawn
BELOW_ONE = 1 - 2**-40  # a greatest random number that rounding does not push behind the last token
# Attributes by which a config says that logits are more than hidden states times the head's weights.
LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


@dataclass
class Scores(ModelOutput):
    """Of each answer token, (B, T), 0 on padding: log-probability, entropy, and the critic's value before it.

    DDP finds the outputs that need gradients by these declared fields.
    """

    log_probs: Tensor | None = None
    entropy: Tensor | None = None
    value: Tensor | None = None


class ValueHead(nn.Linear):
    """V(s) from the policy's hidden states (N, D); zeros at first, so that it pulls at no feature by chance."""

    def __init__(self, size: int):
        super().__init__(size, 1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


def hidden_size(model: Any) -> int:
    return model.get_output_embeddings().weight.shape[1]


def critic_from_policy(policy: PreTrainedModel) -> PreTrainedModel:
    """A one-label sequence classifier with the policy's backbone and a head of zeros."""
    config = copy.deepcopy(policy.config)
    config.num_labels = 1
    critic = AutoModelForSequenceClassification.from_config(config, dtype=policy.dtype)
    critic.base_model.load_state_dict(policy.base_model.state_dict())
    nn.init.zeros_(critic.score.weight)
    return critic


def check_critic(critic: Any, policy: Any) -> None:
    """Raise InputError for a critic that can't give a value for each of the policy's tokens."""
    score = getattr(critic, "score", None)
    if not isinstance(score, nn.Linear) or score.out_features != 1:
        raise InputError(f"the critic, a {type(critic).__name__}, has no head `score` with one output")
    sizes = [model.get_input_embeddings().weight.shape[0] for model in (critic, policy)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"the critic reads the policy's tokens, but its vocabulary has {sizes[0]} of them and the policy's "
            f"{sizes[1]}: a reward model with another tokenizer can score answers, but not be the critic"
        )


def fuse_activations(model: nn.Module) -> None:
    """The same tanh approximation of GELU in one kernel: GPT-2's own takes seven, a third of a step on a CPU."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if type(child) is NewGELUActivation:
                setattr(parent, name, GELUTanh())


def add_scoring(model: PreTrainedModel, temperature: float, owner: nn.Module | None = None) -> None:
    """Let `model(input_ids, attention_mask, answer_mask=...)` return Scores; any other call is what it was.

    The head is applied to answer tokens only: by TokenLogProbs on a CPU, where `with_entropy=False` saves a pass over
    the logits, and by TRL's fused head, which the trainer has added before, on accelerators and for models that change
    their logits. `owner.critic`, where there is one, gives the values: a ValueHead, or a model of its own.
    """
    original = model.forward
    changed = any(getattr(model.config.get_text_config(), name, None) is not None for name in LOGIT_CHANGES)

    def scores(
        self: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        answer_mask: Tensor,
        with_values: bool,
        with_entropy: bool,
    ) -> Scores:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}  # (B, W)
        before = answer_mask[:, 1:]  # where the hidden state stands that an answer token is drawn from
        head = self.get_output_embeddings()
        if input_ids.device.type == "cpu" and type(head) is nn.Linear and head.bias is None and not changed:
            hidden = self.base_model(**inputs).last_hidden_state[:, :-1][before]  # (N, D)
            flags = with_entropy, torch.is_grad_enabled()
            given = hidden / temperature, head.weight, input_ids[:, 1:][before]
            logps, entropy = TokenLogProbs.apply(*given, *flags)
        else:
            seen: list[Tensor] = []
            hook = self.base_model.register_forward_hook(lambda *call: seen.append(call[-1].last_hidden_state))
            labels = input_ids.masked_fill(~answer_mask, -100)
            del inputs["use_cache"]
            fused = original(**inputs, labels=labels, fused_lm_head=True)
            hook.remove()
            hidden, logps, entropy = seen[0][:, :-1][before], fused.log_probs[before], fused.entropy[before]
        values = None
        if with_values:
            critic: Any = getattr(owner, "critic", None)
            if isinstance(critic, ValueHead):
                values = critic(hidden.to(critic.weight.dtype))[:, 0]
            else:
                states = critic.base_model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
                values = critic.score(states.last_hidden_state[:, :-1][before])[:, 0]  # (N,)
        rows = answer_rows(answer_mask)
        return Scores(*(None if x is None else spread(x.float(), rows) for x in (logps, entropy, values)))

    # `generate` reads the signature to know whether it may pass positions, without which left padding shifts them.
    @functools.wraps(type(model).forward)
    def forward(
        self: Any,
        *args: Any,
        answer_mask: Tensor | None = None,
        with_values: bool = False,
        with_entropy: bool = True,
        **kwargs: Any,
    ) -> Any:
        if answer_mask is None:
            return original(*args, **kwargs)
        return scores(self, kwargs["input_ids"], kwargs["attention_mask"], answer_mask, with_values, with_entropy)

    model.forward = types.MethodType(forward, model)


def answer_rows(answer_mask: Tensor) -> Tensor:
    """The mask (B, T) of answers that begin at position 0, from their mask (B, W) behind their prompts."""
    lengths = answer_mask.sum(1)
    return torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]


def spread(values: Tensor, mask: Tensor) -> Tensor:
    """(N,) to the N places of a mask (B, T), row by row, 0 elsewhere."""
    return values.new_zeros(mask.shape).masked_scatter(mask, values)


def by_length(lengths: Tensor, size: int) -> list[Tensor]:
    """Indices of rows in parts of at most `size`, rows of similar length together."""
    return list(lengths.argsort(stable=True).split(size))


class SeededSampler(LogitsProcessor):
    """Leaves one token a row, drawn by inverting the distribution at `draws` (B, T) in [0, 1).

    A token depends on its row's own numbers alone, not on which process generates it beside which rows.
    """

    def __init__(self, draws: Tensor, temperature: float):
        self.draws, self.temperature, self.step = draws, temperature, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores (B, V) are overwritten. Sums of blocks of tokens find the block, sums within it the token."""
        vocabulary = scores.shape[1]
        weights = scores.float().div_(self.temperature)
        weights = weights.sub_(weights.amax(-1, keepdim=True)).exp_()
        whole = vocabulary // BLOCK * BLOCK
        parts = [weights[:, :whole].unflatten(1, (-1, BLOCK)), weights[:, None, whole:]]
        blocks = torch.cat([part.sum(-1) for part in parts], 1).double()  # (B, blocks)
        ends = blocks.cumsum(-1)
        points = self.draws[:, self.step, None].to(scores.device).clamp(max=BELOW_ONE) * ends[:, -1:]
        block = torch.searchsorted(ends, points, right=True)
        share = (points - (ends - blocks).gather(1, block)) / blocks.gather(1, block)  # of the block, up to the point
        places = block * BLOCK + torch.arange(BLOCK, device=scores.device)  # (B, BLOCK)
        inside = weights.gather(1, places.clamp(max=vocabulary - 1)).double()
        inside = inside.masked_fill(places >= vocabulary, 0).cumsum(-1)
        tokens = torch.searchsorted(inside, share.clamp(0, BELOW_ONE) * inside[:, -1:], right=True)
        self.step += 1
        return scores.fill_(-torch.inf).scatter_(1, block * BLOCK + tokens, 0.0)
