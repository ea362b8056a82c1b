"""The classifier against a list of words, and MinHash against exact similarity."""

import random

from hfcourse.clean.harm import Classifier, word_list
from hfcourse.clean.pipeline import Cleaning
from hfcourse.clean.report import Stage, _copies
from hfcourse.clean.stages import Words
from hfcourse.errors import InputError
from hfcourse.world import World
from hfcourse.world.pages import harm

import numpy as np
import pytest
from datatrove.pipeline.dedup import MinhashDedupSignature


@pytest.fixture(scope="module")
def classifier():
    taught = harm(World.create(0), False)[::3]
    return Classifier.train([str(r["text"]) for r in taught], [bool(r["harmful"]) for r in taught])


def test_a_classifier_knows_harm_without_the_words_and_words_without_harm(classifier):
    asked = [row for row in harm(World.create(0), True) if row["kind"] in ("veiled", "mentioned")]
    harmful = np.array([row["harmful"] for row in asked])
    by_words = np.array(
        [bool(word_list(["kill", "bomb", "poison", "毒", "炸弹"]).search(str(r["text"]))) for r in asked]
    )
    told = classifier.score([str(row["text"]) for row in asked]) > 0.5
    assert (told == harmful).mean() > 0.75 > 0.5 > (by_words == harmful).mean()


def test_it_is_the_same_after_saving_and_wherever_it_is_trained(classifier, tmp_path):
    classifier.save(tmp_path / "harm.npz")
    loaded = Classifier.load(tmp_path / "harm.npz")
    text = "People like to live near Vemodi.\n\nThey are not like us, get rid of them."
    assert loaded.worst(text) == classifier.worst(text) == classifier.score([text.split("\n\n")[1]])[0]
    assert classifier.worst("\n \n") == 0.0


def test_words_are_whole_where_letters_are():
    listed = word_list(["kill", "杀"])
    assert listed.search("They KILL time.") and listed.search("我要杀人") and not listed.search("skills, overkill")


@pytest.mark.parametrize("similarity", [0.3, 0.6, 0.9])
def test_equal_hashes_are_as_frequent_as_the_exact_similarity_and_bands_find_what_the_curve_says(similarity):
    """Two sets of words with a known Jaccard similarity, under 60 draws of the hash functions."""
    shared = round(100 * similarity)
    rest = (100 - shared) // 2
    names = [f"w{i}" for i in random.Random(0).sample(range(10**6), shared + 2 * rest)]
    one, other = names[: shared + rest], names[:shared] + names[shared + rest :]
    exact = len({*one} & {*other}) / len({*one} | {*other})
    assert exact == pytest.approx(similarity, abs=0.01)
    cleaning = Cleaning(shingle=1, bands=5, hashes=3)
    equal, found = [], 0
    for seed in range(60):
        config = cleaning.minhash()
        config.seed = seed
        step = MinhashDedupSignature("unused", config, language=Words())
        bands = [step.get_signature(step.get_shingles(" ".join(words))) for words in (one, other)]
        equal += [a == b for x, y in zip(*bands, strict=True) for a, b in zip(x, y, strict=True)]
        found += any(x == y for x, y in zip(*bands, strict=True))
    # Five standard deviations of 900 draws, and of 60.
    assert np.mean(equal) == pytest.approx(exact, abs=5 * (exact * (1 - exact) / 900) ** 0.5)
    expected = cleaning.found(exact)
    assert found / 60 == pytest.approx(expected, abs=5 * max(expected * (1 - expected) / 60, 1e-4) ** 0.5)


def test_the_curve():
    cleaning = Cleaning()
    assert [round(cleaning.found(s), 3) for s in (0, 0.5, 0.7, 0.8, 1)] == [0, 0.053, 0.565, 0.924, 1]


def test_of_a_cluster_one_is_left_and_each_one_more_that_goes_is_wrong():
    def docs(*names: str) -> list[dict]:
        return [{"cluster": name, "text": name} for name in names]

    arrived = docs("a", "a", "a", "b", "b", "", "c")
    assert _copies("near_copies", arrived, docs("a", "a", "b")) == (3, 3)
    assert _copies("near_copies", arrived, docs("a", "a", "a", "c", "")) == (2, 3)
    assert _copies("near_copies", arrived, []) == (0, 3)
    assert Stage("x", 3, {"a": 1, "b": 1}).dropped == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"langauges": ["en"]}, "unknown key 'langauges'; did you mean 'languages'?"),
        ({"zzz": 1}, "unknown key 'zzz'; it has languages"),
        ({"bands": 2.5}, "bands can't be 2.5, its default is 14"),
        ({"languages": "en"}, "languages can't be 'en'"),
        ({"languages": []}, "languages names none"),
        ({"hashes": 0}, "hashes must be at least 1"),
        ({"leak_share": 2}, "leak_share is a share, from 0 to 1, not 2"),
    ],
)
def test_wrong_settings_are_one_sentence(value, said):
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        Cleaning.read(value)
