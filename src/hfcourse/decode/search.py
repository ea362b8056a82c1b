"""How the scores of a causal model become a text: the likeliest token, a drawn one, a beam, a contrastive choice."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch


Filter = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Reader:
    """Scores of the next token (B, V) for ids (B, T) that grow: a causal model and its cache read each token once."""

    def __init__(self, model: Any, hidden: bool = False):
        self.model, self.hidden, self.length = model, hidden, 0
        self.cache: Any = None
        self.states: Any = None

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Where `hidden` is asked, `states` are then the last hidden states (B, new, D) of the new tokens."""
        options = {"past_key_values": self.cache, "use_cache": True, "output_hidden_states": self.hidden}
        output = self.model(input_ids=ids[:, self.length :], **options)
        self.cache, self.length = output.past_key_values, ids.shape[1]
        if self.hidden:
            self.states = output.hidden_states[-1]
        return output.logits[:, -1].float()

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows, some of them perhaps several times."""
        self.cache.reorder_cache(rows)


def greedy_or_sample(
    read: Reader, ids: torch.Tensor, new: int, stop: Collection[int], pad: int, filters: Sequence[Filter], draw: bool
) -> torch.Tensor:
    """Continue ids (B, T) by up to `new` tokens: each the likeliest or, to `draw`, one by its probability."""
    going = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    ends = torch.tensor(sorted(stop), device=ids.device)
    for _ in range(new):
        scores = read(ids)
        for change in filters:
            scores = change(scores, ids)
        token = torch.multinomial(scores.softmax(-1), 1)[:, 0] if draw else scores.argmax(-1)
        ids = torch.cat([ids, torch.where(going, token, pad)[:, None]], 1)
        going &= ~torch.isin(token, ends)
        if not going.any():
            break
    return ids


def beam_search(
    read: Reader, ids: torch.Tensor, new: int, stop: Collection[int], beams: int, filters: Sequence[Filter]
) -> torch.Tensor:
    """Continue one prompt (1, T) by the text of the highest mean log-probability that a beam finds.

    Each step takes the best of all (beam, token) pairs; those that end are set aside, the best `beams` others go on,
    until none of them, as it stands, has a higher mean than the worst of `beams` that ended.
    """
    totals = torch.tensor([0.0] + [-1e9] * (beams - 1), device=ids.device)  # at first all beams are the prompt
    ids, ends, ended = ids.repeat(beams, 1), torch.tensor(sorted(stop), device=ids.device), []
    for step in range(1, new + 1):
        scores = read(ids).log_softmax(-1)
        for change in filters:
            scores = change(scores, ids)
        best, places = (totals[:, None] + scores).flatten().topk(beams * max(2, 1 + len(stop)))
        rows, tokens = places // scores.shape[1], places % scores.shape[1]
        longer = torch.cat([ids[rows], tokens[:, None]], 1)
        ends_here = torch.isin(tokens, ends) | (step == new)
        ended += [(best[i].item() / step, longer[i]) for i in range(beams) if ends_here[i]]
        ended = sorted(ended, key=lambda pair: -pair[0])[:beams]
        on = (~ends_here).nonzero()[:beams, 0]
        if step == new or (len(ended) == beams and best[on[0]].item() / step <= ended[-1][0]):
            break
        ids, totals = longer[on], best[on]
        read.keep(rows[on])
    return ended[0][1][None]


def contrastive(
    read: Reader, ids: torch.Tensor, new: int, stop: Collection[int], alpha: float, k: int
) -> torch.Tensor:
    """Continue one prompt (1, T): likely, and unlike what is there (Su et al. 2022, eq. 5).

    argmax over the k likeliest v of (1 - alpha) p(v) - alpha max_j cos(h_v, h_j), h the last hidden states (D) of v
    and of the tokens before it; `read` has to give hidden states.
    """
    scores, texts = read(ids), torch.zeros(k, dtype=torch.long, device=ids.device)
    before = read.states  # (1, T, D)
    for _ in range(new):
        likely, tokens = scores.softmax(-1).topk(k)  # (1, K)
        read.keep(texts)
        candidates = read(torch.cat([ids[texts], tokens.T], 1))  # (K, V), and states (K, 1, D)
        alike = torch.cosine_similarity(read.states, before, dim=-1).amax(-1)  # (K)
        choice = ((1 - alpha) * likely[0] - alpha * alike).argmax()[None]
        ids = torch.cat([ids, tokens[:, choice]], 1)
        before, scores = torch.cat([before, read.states[choice]], 1), candidates[choice]
        read.keep(choice)
        if ids[0, -1].item() in stop:
            break
    return ids
