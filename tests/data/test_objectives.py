"""Masked and corrupted rows: the shares of the papers, nothing lost, and the same rows hidden the same way."""

from collections import Counter

from hfcourse.data.objectives import Masked, Objective, Spans
from hfcourse.errors import InputError

import pytest


def test_causal_labels_are_the_input(span_tokenizer):
    batch = Objective(span_tokenizer)([{"input_ids": [5, 6, 7]}, {"input_ids": [8, 9]}])
    pad = span_tokenizer.pad_token_id
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, pad]]
    assert batch["labels"].tolist() == [[5, 6, 7], [8, 9, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_masked_shares_are_those_of_bert(masked_tokenizer):
    """15 % of the tokens of each row; of them 80 % [MASK], 10 % another, 10 % unchanged; never a special token."""
    tokenizer = masked_tokenizer
    objective = Masked(tokenizer, seed=1)
    ordinary = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    kinds: Counter[str] = Counter()
    for start in range(300):
        ids = [tokenizer.sep_token_id] + [ordinary[(start * 7 + 3 * k) % len(ordinary)] for k in range(99)]
        inputs, labels = objective.predict({"input_ids": ids})
        chosen = [i for i, label in enumerate(labels) if label != -100]
        assert len(chosen) == 15
        assert 0 not in chosen
        assert all(labels[i] == ids[i] for i in chosen)
        assert all(inputs[i] == ids[i] for i in range(100) if i not in chosen)
        for i in chosen:
            kinds["mask" if inputs[i] == tokenizer.mask_token_id else "same" if inputs[i] == ids[i] else "other"] += 1
    total = sum(kinds.values())
    assert abs(kinds["mask"] / total - 0.8) < 0.02
    # A random token is the old one once in a vocabulary.
    assert abs(kinds["other"] / total - 0.1) < 0.02
    assert abs(kinds["same"] / total - 0.1) < 0.02


def hidden_words(objective: Masked, row: dict[str, list[int]], epoch: int = 0) -> dict[int, str]:
    """The words chosen in a row, each with what became of it; a word must be chosen whole and treated as one."""
    inputs, labels = objective.predict(row, epoch)
    kinds: dict[int, str] = {}
    places = [i for i, label in enumerate(labels) if label != -100]
    for word in {row["word_ids"][i] for i in places}:
        own = [i for i, number in enumerate(row["word_ids"]) if number == word]
        assert set(own) <= set(places), "half a word"
        masked = [inputs[i] == objective.tokenizer.mask_token_id for i in own]
        kept = [inputs[i] == row["input_ids"][i] for i in own]
        kinds[word] = "mask" if all(masked) else "kept" if all(kept) else "random"
        assert not any(masked) or all(masked)
    return kinds


def test_words_are_chosen_whole_and_as_many_tokens_as_without_words(masked_tokenizer):
    """Words of 1 to 5 tokens in blocks of 100: each all or nothing, 15 tokens a block; 80/10/10 word by word."""
    tokenizer = masked_tokenizer
    objective = Masked(tokenizer, seed=1)
    ordinary = objective.ordinary.tolist()
    numbers = [word for word in range(40) for _ in range(1 + word % 5)][:98]
    kinds: Counter[str] = Counter()
    chosen_words: Counter[int] = Counter()
    for start in range(600):
        ids = [ordinary[(start * 7 + 3 * k) % len(ordinary)] for k in range(98)]
        row = {"input_ids": [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id], "word_ids": [-1, *numbers, -1]}
        chosen = hidden_words(objective, row)
        assert sum(numbers.count(word) for word in chosen) == 15
        chosen_words.update(chosen.keys())
        kinds.update(chosen.values())
    assert chosen_words.keys() == set(numbers)
    shares = [kinds[kind] / kinds.total() for kind in ("mask", "random", "kept")]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_rare_words_are_drawn_by_their_weight(masked_tokenizer):
    """One of two words a row: of 40 and 90 mentions; of 40 and 3, which weighs as one of 10."""
    often, rare, rarest = [70, 71], [80, 81], [90, 91]
    rows = [{"input_ids": word, "word_ids": [0, 0]} for word in [often] * 90 + [rare] * 40 + [rarest] * 3]

    def share(first: list[int], second: list[int], rarity: float) -> float:
        objective = Masked(masked_tokenizer, probability=0.5, rarity=rarity)
        objective.count(rows)
        row = {"input_ids": first + second, "word_ids": [0, 0, 1, 1]}
        return sum(0 in hidden_words(objective, row, epoch) for epoch in range(1500)) / 1500

    assert share(often, rare, 0.0) == pytest.approx(1 / 2, abs=0.04)
    assert share(often, rare, 1.0) == pytest.approx(40 / 130, abs=0.04)
    assert share(often, rare, 0.5) == pytest.approx(40**0.5 / (40**0.5 + 90**0.5), abs=0.04)
    assert share(rare, rarest, 1.0) == pytest.approx(10 / 50, abs=0.04)


def test_a_share_of_the_rows_is_shown_in_part(masked_tokenizer):
    """Pieces of 2 to 8 tokens of 8, in their frame, alike in length and from every place; an evaluation shows all."""
    objective = Masked(masked_tokenizer, short=0.4)
    row = {"input_ids": [2, *range(60, 68), 3], "word_ids": [-1, 0, 0, 1, 1, 2, 2, 3, 3, -1]}
    lengths: Counter[int] = Counter()
    for epoch in range(2000):
        objective.set_epoch(epoch)
        shown = objective.shown(row)
        ids = shown["input_ids"]
        assert (ids[0], ids[-1]) == (2, 3) and ids[1:-1] == list(range(ids[1], ids[-2] + 1))
        assert shown["word_ids"] == [-1, *((i - 60) // 2 for i in ids[1:-1]), -1]
        lengths[len(ids) - 2] += 1
        assert objective([row])["input_ids"].shape == (1, len(ids))
    assert set(lengths) == set(range(2, 9))
    assert [lengths[n] / 2000 for n in range(2, 8)] == pytest.approx([0.4 / 7] * 6, abs=0.02)
    assert len(objective.fixed(row)["input_ids"]) == 10
    assert objective.shown(row) == objective.shown(row)


def test_a_word_longer_than_the_share_is_left_alone(masked_tokenizer):
    ids = list(range(60, 70))
    inputs, labels = Masked(masked_tokenizer).predict({"input_ids": ids, "word_ids": [0] * 8 + [1, 1]})
    assert [i for i, label in enumerate(labels) if label != -100] == [8, 9]


def test_what_cannot_be_masked(masked_tokenizer, span_tokenizer):
    with pytest.raises(InputError, match="has no mask token"):
        Masked(span_tokenizer)
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(InputError, match="--probability is a share of the tokens"):
            Masked(masked_tokenizer, probability=share)
    with pytest.raises(InputError, match="--rarity is an exponent of 0 or more, not -1"):
        Masked(masked_tokenizer, rarity=-1)
    with pytest.raises(InputError, match="--short_rows is a share of the rows, from 0 to 1, not 2"):
        Masked(masked_tokenizer, short=2)


def test_spans_hide_15_percent_and_lose_nothing(span_tokenizer):
    objective = Spans(span_tokenizer, seed=2)
    ids = list(range(110, 210))
    inputs, target = objective.predict({"input_ids": ids})
    sentinels = span_tokenizer.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(6)])
    end = span_tokenizer.eos_token_id
    assert inputs[-1] == target[-1] == end
    assert [t for t in inputs if t in sentinels] == sentinels[:5]
    assert [t for t in target if t in sentinels] == sentinels[:6], "five spans and the closing sentinel"
    assert len([t for t in target if t not in sentinels and t != end]) == 15
    spans, current = {}, None
    for token in target[:-1]:
        if token in sentinels:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    restored = [t for token in inputs[:-1] for t in (spans[token] if token in sentinels else [token])]
    assert restored == ids
    assert all(spans[s] for s in sentinels[:5])


@pytest.mark.parametrize("length", [2, 3, 5, 9])
def test_short_rows_can_be_corrupted(span_tokenizer, length):
    inputs, target = Spans(span_tokenizer).predict({"input_ids": list(range(110, 110 + length))})
    assert len(inputs) + len(target) == length + 5  # two sentinels in the target, one in the input, two ends
