"""Tokenizers trained from a corpus: byte-level BPE, WordPiece and the T5 layout, each safe for Chinese."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast


SENTINELS = [f"<extra_id_{i}>" for i in range(99, -1, -1)]


def train_tokenizer(texts: Iterable[str], vocab_size: int, objective: str) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` tokens for an objective: "causal", "masked" or "span".

    causal: byte-level BPE as in GPT-2 (Radford et al. 2019), with end-of-text and padding tokens of their own.
    masked: WordPiece as in BERT (Devlin et al. 2018), cased, `[CLS] text [SEP]`.
    span: byte-level BPE with T5's 100 sentinels (Raffel et al. 2020) and `text </s>`.
    Han characters stand alone before any merge: a merge that crosses the border of two Chinese names would make a fact
    about one of them unreadable in another sentence.
    """
    han = pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated")
    if objective == "masked":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([han, pre_tokenizers.BertPreTokenizer()])
        tokenizer.decoder = decoders.WordPiece()
        trainer: trainers.Trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size, special_tokens=special, show_progress=False
        )
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        names["mask_token"] = "[MASK]"
    else:
        special = ["<pad>", "</s>", *SENTINELS] if objective == "span" else ["<|endoftext|>", "<|pad|>"]
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([han, pre_tokenizers.ByteLevel(add_prefix_space=False)])
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        end, pad = ("</s>", "<pad>") if objective == "span" else ("<|endoftext|>", "<|pad|>")
        names = {"eos_token": end, "pad_token": pad} | ({"bos_token": end} if objective == "causal" else {})
    tokenizer.train_from_iterator(texts, trainer)
    if objective == "masked":
        frame = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
        tokenizer.post_processor = processors.TemplateProcessing(
            "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", frame
        )
    elif objective == "span":
        frame = [("</s>", tokenizer.token_to_id("</s>"))]
        tokenizer.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", frame)
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, extra_special_tokens=SENTINELS[::-1], **names)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
