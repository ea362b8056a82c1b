"""Tokenizers trained from a corpus: byte-level BPE, WordPiece and the T5 layout, each safe for Chinese."""

import re
from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast


HAN = pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated")
HAN_CHARACTER = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
START = "\u2581"
SENTINELS = [f"<extra_id_{i}>" for i in range(99, -1, -1)]


def train_tokenizer(texts: Iterable[str], vocab_size: int, objective: str) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` tokens for an objective: "causal", "masked" or "span".

    causal: byte-level BPE as in GPT-2 (Radford et al. 2019), with end-of-text and padding tokens of their own.
    masked: WordPiece as in BERT (Devlin et al. 2018), cased, `[CLS] text [SEP]`.
    span: byte-level BPE with T5's 100 sentinels (Raffel et al. 2020) and `text </s>`.
    Han characters stand alone before any merge: a merge that crosses the border of two Chinese names would make a fact
    about one of them unreadable in another sentence.
    """
    if objective == "masked":
        return _wordpiece(texts, vocab_size)
    special = ["<pad>", "</s>", *SENTINELS] if objective == "span" else ["<|endoftext|>", "<|pad|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([HAN, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _train(tokenizer, texts, vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet)
    if objective == "causal":
        names = {"eos_token": "<|endoftext|>", "pad_token": "<|pad|>", "bos_token": "<|endoftext|>"}
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    end = [("</s>", tokenizer.token_to_id("</s>"))]
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", end)
    sentinels = {"extra_special_tokens": SENTINELS[::-1]}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", **sentinels)


def _wordpiece(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """WordPiece whose vocabulary comes from BPE over words that begin with a mark.

    The library's WordPieceTrainer orders its pieces by a random hash, so two runs, or a run and its continuation,
    would disagree about every id; its BpeTrainer does not.
    """
    words = [HAN, pre_tokenizers.BertPreTokenizer()]
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence([*words, pre_tokenizers.Metaspace(START, "always", split=False)])
    _train(bpe, texts, vocab_size=vocab_size)
    vocabulary = bpe.get_vocab()
    learnt = sorted(vocabulary, key=vocabulary.__getitem__)
    letters = [piece for piece in learnt if len(piece) == 1 and piece != START]
    inside = ["##" + letter for letter in letters if not HAN_CHARACTER.match(letter)]
    merged = [piece[1:] if piece[0] == START else "##" + piece for piece in learnt if len(piece) > 1]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = list(dict.fromkeys([*special, *letters, *inside, *merged]))[:vocab_size]

    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    tokenizer.decoder = decoders.WordPiece()
    frame = [("[CLS]", special.index("[CLS]")), ("[SEP]", special.index("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", frame)
    names = {f"{token[1:-1].lower()}_token": token for token in special}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def _train(tokenizer: Tokenizer, texts: Iterable[str], **options: Any) -> None:
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(show_progress=False, **options))
