"""BLEU and ROUGE against the libraries themselves and by hand; their modules for `evaluate`, without a network."""

from hfcourse.metrics import bleu as bleu_module
from hfcourse.metrics import rouge as rouge_module
from hfcourse.metrics.texts import Words, bleu, bleu_tokenizer, equal_share, lead, rouge

import evaluate
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer


WORDS = st.sampled_from(["the", "cat", "Cat,", "mat", "sat.", "don't", "3.5", "", "去年", "首都是", "。", "A_b"])
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, language=st.sampled_from(["en", "zh", "zh-CN", "ja"]))
def test_bleu_is_sacrebleus(rows, language):
    predictions, references = map(list, zip(*rows, strict=True))
    tokenize = {"en": "13a", "ja": "char"}.get(language, "zh")
    expected = sacrebleu.corpus_bleu(predictions, [references], tokenize=tokenize).score
    assert bleu(predictions, references, bleu_tokenizer(language)) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(*[st.text("aB1 .,-_'\n", max_size=30)] * 2), min_size=1, max_size=5))
def test_rouge_on_ascii_is_rouge_scores_own(rows):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    scores = [scorer.score(reference, prediction) for prediction, reference in rows]
    expected = {name: 100 * sum(s[name].fmeasure for s in scores) / len(rows) for name in scores[0]}
    assert rouge(*map(list, zip(*rows, strict=True))) == pytest.approx(expected)


def test_chinese_rouge_by_hand():
    """今天很好 and 今天真好啊: 3 of 4 and of 5 characters in common, in the same order; 1 of 3 and of 4 pairs."""
    found = rouge(["今天很好"], ["今天真好啊"])
    assert found == pytest.approx({"rouge1": 100 * 6 / 9, "rouge2": 100 * 2 / 7, "rougeL": 100 * 6 / 9})
    assert Words().tokenize("用GPT-2写诗，Ähm ok") == ["用", "gpt", "2", "写", "诗", "ähm", "ok"]
    assert rouge(["cats running"], ["cat runs"])["rouge1"] == 0
    assert rouge(["cats running"], ["cat runs"], use_stemmer=True)["rouge1"] == 100


def test_a_chinese_sentence_is_no_single_word_of_bleu():
    one, other = ["去年梅斯索去了比西加。"], ["去年库尔佩去了比西加。"]
    assert bleu(one, other, bleu_tokenizer("zh")) > 40 and bleu(one, other, bleu_tokenizer("en")) < 20


def test_equal_texts_and_first_sentences():
    assert equal_share(["a  b.", "c", "d"], ["a b", "C", "d."]) == pytest.approx(200 / 3)
    text = "It rose 3.5 points! Why? Nobody knows.\nThe end"
    assert lead(text, 1) == "It rose 3.5 points!"
    assert lead(text, 3) == "It rose 3.5 points! Why? Nobody knows."
    assert lead(text, 9) == "It rose 3.5 points! Why? Nobody knows. The end"
    assert lead("市场很好。茶很好！火车很差", 2) == "市场很好。茶很好！"
    assert lead("", 3) == ""


def test_the_modules_load_from_the_package():
    """Outside a test nothing would reach the network either: the audit in conftest.py would see it."""
    module = evaluate.load(bleu_module.__file__)
    texts = {"predictions": ["我们赢了比赛。"], "references": ["我们赢了球赛。"]}
    zh = sacrebleu.corpus_bleu(texts["predictions"], [texts["references"]], tokenize="zh").score
    assert module.compute(**texts, language="zh") == {"bleu": pytest.approx(zh)}
    assert module.compute(**texts, tokenize="char") == {"bleu": pytest.approx(zh)}
    assert evaluate.load(rouge_module.__file__).compute(**texts) == pytest.approx(rouge(*texts.values()))
