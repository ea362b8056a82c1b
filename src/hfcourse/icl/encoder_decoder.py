"""Scores of T5 and its kin: a context is encoded once, its continuations stand side by side in the decoder."""

from collections.abc import Collection, Iterator, Sequence

from hfcourse.icl.engine import Engine, Item, Query, Score, fill, read_scores

import torch
from transformers.modeling_outputs import BaseModelOutput


class EncoderDecoder(Engine):
    """Models with relative positions in the decoder (T5): a continuation further right in a row is scored the same.

    A row is a context; its continuations follow one another, each from the start token on and blind to the others.
    """

    @torch.no_grad()
    def passes(
        self, items: Sequence[Item], done: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[list[Score]]]]:
        for chunk in self._chunks(items):
            if all(i in done for i in chunk):
                continue
            queries = [query for i in chunk for query in items[i]]
            scores = self._pass(queries)
            self.asked += sum(len(query.context) + len(query.target) for query in queries)
            yield chunk, [[scores[query] for query in items[i]] for i in chunk]

    def _chunks(self, items: Sequence[Item]) -> Iterator[list[int]]:
        """Items by the length of their contexts, so that little is padded; ties in their order."""
        lengths = [max(len(query.context) for query in item) for item in items]
        rows = [len({query.context for query in item}) for item in items]
        order = sorted(range(len(items)), key=lambda i: -lengths[i])
        return fill(order, lambda chunk: sum(rows[i] for i in chunk) * lengths[chunk[0]], self.budget)

    def _pass(self, queries: list[Query]) -> dict[Query, Score]:
        start, device, dtype = self.model.config.decoder_start_token_id, self.model.device, self.model.dtype
        rows: dict[tuple[int, ...], list[Query]] = {}
        for query in dict.fromkeys(queries):
            rows.setdefault(query.context, []).append(query)
        width = max(map(len, rows))
        decoded = max(sum(len(query.target) for query in own) for own in rows.values())
        ids = torch.zeros(len(rows), width, dtype=torch.long)  # (B, S)
        seen = torch.zeros(len(rows), width, dtype=torch.long)
        answers = torch.full((len(rows), decoded), start)  # (B, T)
        # A padded place sees itself, since attention to nothing is no number.
        mask = torch.eye(decoded, dtype=torch.bool).repeat(len(rows), 1, 1)
        places = []
        for b, (context, own) in enumerate(rows.items()):
            ids[b, : len(context)], seen[b, : len(context)] = torch.tensor(context), 1
            at = 0
            for query in own:
                end = at + len(query.target)
                answers[b, at + 1 : end] = torch.tensor(query.target[:-1], dtype=torch.long)
                mask[b, at:end, at:end] = torch.ones(end - at, end - at, dtype=torch.bool).tril()
                places.append(range(b * decoded + at, b * decoded + end))
                at = end
        bias = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
        states = self.model.get_encoder()(input_ids=ids.to(device), attention_mask=seen.to(device)).last_hidden_state
        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=seen.to(device),
            decoder_input_ids=answers.to(device),
            decoder_attention_mask=bias[:, None].to(device),  # (B, 1, T, T)
            use_cache=False,
        ).logits.float()  # (B, T, V)
        self.computed += int(seen.sum()) + sum(map(len, places))
        asked = [query for own in rows.values() for query in own]
        scores = read_scores(logits.flatten(0, 1), [list(place) for place in places], [q.target for q in asked])
        return dict(zip(asked, scores, strict=True))
