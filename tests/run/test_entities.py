"""Words of a text as corpora of entities cut them, and entities from a tokenizer that knows no words."""

from hfcourse.data.tokenizer import train_tokenizer
from hfcourse.run.entities import find_entities, split_words

import pytest
import torch
from transformers import BertConfig, BertForTokenClassification


WORDS = {
    "U.N. official Ekeus heads for Baghdad.": "U.N.|official|Ekeus|heads|for|Baghdad|.",
    "Netanyahu's U.S.-based al-Qaeda (AT&T) won 6,500": "Netanyahu|'s|U.S.|-|based|al-Qaeda|(|AT&T|)|won|6,500",
    "O\u2019Neill\u2019s \u201cNew  York/London\u201d": "O\u2019Neill|\u2019s|\u201c|New|York|/|London|\u201d",
    "中国的首都是北京。": "中|国|的|首|都|是|北|京|。",
    "iPhone在U.N.总部,3月1日": "iPhone|在|U.N.|总|部|,|3|月|1|日",
    "Zürich,Genève  \n@you": "Zürich|,|Genève|@|you",
    " \n": "",
}


@pytest.mark.parametrize("text", WORDS)
def test_words_are_cut_as_corpora_cut_them(text):
    assert "|".join(text[start:end] for start, end in split_words(text)) == WORDS[text]


def test_a_byte_level_tokenizer_has_words_too():
    """The model goes by the token alone: what begins Oslo is a place, all else is outside."""
    tokenizer = train_tokenizer(["Ann saw Oslo"] * 3, 300, "causal")
    tokenizer.backend_tokenizer.pre_tokenizer[1].add_prefix_space = True  # as load_tagger does
    tokenizer.model_max_length = 8
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    names = {"id2label": {0: "O", 1: "B-LOC"}, "label2id": {"O": 0, "B-LOC": 1}}
    model = BertForTokenClassification(BertConfig(vocab_size=len(tokenizer), **sizes, **names)).eval()
    first = tokenizer(["Oslo"], is_split_into_words=True)["input_ids"][0]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.ones_like(weight) if "LayerNorm.weight" in name else torch.zeros_like(weight))
        model.classifier.weight[:, :2] = torch.eye(2)
        words = model.bert.embeddings.word_embeddings.weight
        words[:, 0] = 1
        words[first, :2] = torch.tensor([0.0, 1.0])
    text = "saw (Oslo-x), saw 中国 and Oslo."
    found = find_entities(model, tokenizer)(text)
    assert [(e["text"], e["type"], e["start"]) for e in found] == [("Oslo-x", "LOC", 5), ("Oslo", "LOC", 25)]
    assert find_entities(model, tokenizer)("  ") == []
