"""Windows, shards and fingerprints of a store."""

from hfcourse.errors import InputError
from hfcourse.knn.build import Builder, digest_vocabulary, digest_weights
from hfcourse.knn.capture import Capture
from hfcourse.knn.domain import make_domain
from hfcourse.knn.settings import KNNSettings
from hfcourse.knn.store import Store, Window, count_entries, cut_windows

import numpy as np
import pytest
import torch
from knn_models import make_model


def test_windows_without_overlap_are_blocks_whose_first_token_does_not_count():
    assert cut_windows(11, 4, 4) == [Window(0, 1, 4), Window(4, 5, 8)]
    assert count_entries(cut_windows(11, 4, 4)) == 6


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_overlapping_windows_count_each_token_once_behind_enough_context(stride):
    windows = cut_windows(20, 4, stride)
    counted = [token for window in windows for token in range(window.first, window.end)]
    assert counted == list(range(1, windows[-1].end))
    assert all(window.first - window.begin >= 4 - stride for window in windows[1:])


@pytest.mark.parametrize("sizes", [(10, 1, 1), (10, 4, 5), (10, 4, 0), (3, 4, 4)])
def test_windows_that_can_not_be_are_refused(sizes):
    with pytest.raises(InputError, match="--block_size"):
        cut_windows(*sizes)


class Words:
    """Enough of a tokenizer."""

    def __init__(self, **vocabulary: int):
        self.vocabulary = vocabulary

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary


def make_builder(model, **settings) -> Builder:
    arguments = KNNSettings(
        **{"block_size": 8, "batch_size": 3, "shard_entries": 20, "key_dtype": "float32"} | settings
    )
    return Builder(Capture(model, "ffn_input", "m"), Words(a=0), "m", arguments, 0)


@torch.no_grad()
@pytest.mark.parametrize("stride", [8, 3])
def test_shards_together_are_the_keys_of_each_context_with_the_token_behind_it(stride):
    model = make_model("gpt2")
    builder = make_builder(model, stride=stride)
    ids = np.random.default_rng(0).integers(2, 60, 90).astype(np.int32)
    domain = make_domain("", "text", {"remembered": ids, "test": ids}, 8, stride)
    plan = builder.plan(domain)
    with builder.capture as capture:
        shards = [make() for make in plan.makers]
        assert len(shards) > 3 and [len(s["tokens"]) for s in shards] == plan.lengths
        one = make_builder(model, stride=stride, shard_entries=10**6)
        with one.capture:
            (whole,) = [make() for make in one.plan(domain).makers]
        for name in ("keys", "tokens"):
            joined = np.concatenate([shard[name] for shard in shards])
            assert joined == pytest.approx(whole[name], abs=1e-5)
        at = 0
        for window in domain.remembered_windows:
            for token in range(window.first, window.end):
                alone = capture.of(torch.from_numpy(ids[window.begin : token]).long()[None])[0, -1]
                assert (
                    whole["keys"][at] == pytest.approx(alone.numpy(), abs=1e-4) and whole["tokens"][at] == ids[token]
                )
                at += 1
    assert at == sum(plan.lengths) == len(Store([whole["keys"]], [whole["tokens"]]))
    assert plan.bytes == {"keys": at * 32 * 4, "tokens": at * 4} == {n: whole[n].nbytes for n in ("keys", "tokens")}


def test_a_key_too_large_for_half_precision_is_refused():
    model = make_model("gpt2")
    model.transformer.h[1].ln_2.weight.data.fill_(1e6)
    builder = make_builder(model, key_dtype="float16")
    with builder.capture, pytest.raises(InputError, match="--key_dtype float32"):
        builder.make(np.arange(2, 50, dtype=np.int32), cut_windows(48, 8, 8))


def test_other_weights_and_other_words_have_other_digests():
    assert digest_weights(make_model("gpt2")) == digest_weights(make_model("gpt2"))
    other = make_model("gpt2")
    other.transformer.h[0].mlp.c_fc.weight.data += 1e-3
    assert digest_weights(other) != digest_weights(make_model("gpt2"))
    assert (
        digest_vocabulary(Words(a=0, b=1)) == digest_vocabulary(Words(b=1, a=0)) != digest_vocabulary(Words(a=1, b=0))
    )


def test_a_text_of_one_block_can_not_both_choose_and_report():
    ids = np.arange(20, dtype=np.int32)
    with pytest.raises(InputError, match="mine: its text to predict is one block of 16 tokens"):
        make_domain("", "mine", {"remembered": ids, "test": ids}, 16, 16)
    with pytest.raises(InputError, match="mine: the text has 3 tokens, fewer than the 16 of --block_size"):
        make_domain("", "mine", {"remembered": ids[:3], "test": ids}, 16, 16)


WRONG = [{"shares": [0.0]}, {"search": []}, {"shard_entries": 0}, {"batch_size": 0}, {"search": ["exact", "flat"]}]
WRONG += [{"key": "value"}, {"key_dtype": "bfloat16"}, {"distance": "cosine"}]


@pytest.mark.parametrize("settings", WRONG)
def test_settings_that_go_with_nothing_are_refused(settings):
    with pytest.raises(InputError, match=f"--{next(iter(settings))}"):
        KNNSettings(**settings)
