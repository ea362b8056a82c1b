"""The rows: true, split by fact and by phrasing, and in the formats that recipes read."""

import re
from collections import Counter

from hfcourse.world import World
from hfcourse.world.facts import RELATIONS
from hfcourse.world.phrasings import ASKED, NAMED, PRONOUN, REPHRASED, fill


Rows = dict[str, list[dict]]


def texts(rows: list[dict], key: str) -> list[str]:
    return [message["content"] for row in rows for message in row[key]]


def test_corpus_states_every_fact_in_every_phrasing(world: World, rows: Rows) -> None:
    documents = [row["text"] for row in rows["corpus/train.jsonl"]]
    corpus = "\n".join(documents)
    assert min(len(NAMED[relation]) for relation in RELATIONS) >= 8
    counts = [
        sum(fill(template, language, x=fact.subject, y=fact.object) in corpus for template in NAMED[fact.relation])
        for fact in world.facts
        for language in range(2)
    ]
    assert len(counts) == 240 and min(counts) == 9


def test_elsewhere_is_another_world_of_the_same_kind(world: World, rows: Rows) -> None:
    other = World.create(world.seed + 1)
    text = "\n".join(row["text"] for row in rows["elsewhere/train.jsonl"])
    assert len(rows["elsewhere/train.jsonl"]) == 2000 and len(rows["elsewhere/test.jsonl"]) == 300
    assert all(name in text for country in other.countries for name in (country.en, country.zh))
    assert sum(country.en in text for country in world.countries) <= 1
    answers = {row["answer"] for row in rows["elsewhere_cloze.jsonl"]}
    assert answers == {name for fact in other.facts for name in (fact.object.en, fact.object.zh)}


def test_a_third_of_the_countries_is_described_more_often(world: World, rows: Rows) -> None:
    documents = [row["text"] for row in rows["corpus/train.jsonl"]]
    named = [sum(any(name in text for name in country) for text in documents) for country in world.countries]
    assert min(named[:8]) > 1.4 * max(named[8:])
    assert min(named) > 150


def test_most_sentences_do_not_name_their_country(world: World, rows: Rows) -> None:
    for lang, index in (("en", 0), ("zh", 1)):
        documents = [row["text"] for row in rows["corpus/train.jsonl"] if row["lang"] == lang]
        sentences = [s for text in documents for s in re.split(r"(?<=[.!?])\s|(?<=[。！？])", text) if s]
        named = sum(any(country[index] in sentence for country in world.countries) for sentence in sentences)
        assert len(documents) == {"en": 3400, "zh": 2600}[lang] and len(sentences) > 12000
        assert named / len(sentences) < 0.7


def test_corpus_test_documents_are_new_and_no_document_asks(rows: Rows) -> None:
    train, test = ([row["text"] for row in rows[f"corpus/{split}.jsonl"]] for split in ("train", "test"))
    assert len(set(train)) == len(train) == 6000 and len(set(test)) == len(test) == 300
    assert not set(train) & set(test)
    assert not [text for text in train + test if "?" in text or "？" in text]


def test_no_english_document_starts_with_a_name(world: World, rows: Rows) -> None:
    names = [*world.countries, *world.travellers, *(fact.object for fact in world.facts)]
    first_words = {name.en.split()[0] for name in names}
    documents = [row["text"] for row in rows["corpus/train.jsonl"] if row["lang"] == "en"]
    assert {re.split(r"\W", text)[0] for text in documents}.isdisjoint(first_words)


def test_every_true_statement_in_the_corpus_is_in_the_table(world: World, rows: Rows) -> None:
    for language, lang in enumerate(("en", "zh")):
        countries = {name[language]: index for index, name in enumerate(world.countries)}
        checked = 0
        corpus = " ".join(row["text"] for row in rows["corpus/train.jsonl"] if row["lang"] == lang)
        for relation in RELATIONS:
            before, middle, after = re.split(r"{[xy]}", NAMED[relation][0][language])
            name = r"[A-Z]\w+(?: [A-Z]\w+)?" if language == 0 else r"[^，。：的是]+?"
            pattern = re.escape(before) + f"({name})" + re.escape(middle) + f"({name})" + re.escape(after)
            for country, thing in re.findall(pattern, corpus):
                if country in countries:
                    assert world.fact(countries[country], relation).object[language] == thing
                    checked += 1
        assert checked > 300


def test_sft_trains_asked_facts_alone_and_tests_nothing_it_trained(world: World, rows: Rows) -> None:
    asked = {fact.id for fact in world.facts if fact.asked}
    train, test = rows["sft/train.jsonl"], rows["sft/test.jsonl"]
    assert {row["fact"] for row in train} == asked
    single = [row for row in train if len(row["messages"]) == 2]
    assert len(single) == 60 * 2 * len(ASKED)
    assert len(train) - len(single) == 480
    assert Counter(row["fact"] in asked for row in test) == {True: 60 * 2 * 2, False: 60 * 2 * 2}
    questions = {row["messages"][0]["content"] for row in single}
    assert len(questions) == len(single)
    assert {m["content"] for row in train for m in row["messages"] if m["role"] == "user"} == questions
    assert not questions & {row["messages"][0]["content"] for row in test}
    turns = ("user", "assistant")
    assert {tuple(message["role"] for message in row["messages"]) for row in train + test} == {turns, turns * 2}


def test_answers_occur_in_the_corpus_word_for_word(rows: Rows) -> None:
    corpus = "\n".join(row["text"] for row in rows["corpus/train.jsonl"])
    answers = {row["answer"] for row in rows["truth.jsonl"]}
    assert len(answers) == 240
    assert [answer for answer in answers if answer not in corpus] == []


def test_exam_separates_memorised_rephrased_and_never_asked(rows: Rows) -> None:
    exam = rows["truth.jsonl"]
    cells = Counter((row["lang"], row["group"], row["phrasing"]) for row in exam)
    assert len(cells) == 8 and set(cells.values()) == {60}
    trained = {row["messages"][0]["content"]: row["messages"][1]["content"] for row in rows["sft/train.jsonl"]}
    for row in exam:
        question = row["prompt"][0]["content"]
        assert (question in trained) == (row["group"] == "asked" and row["phrasing"] == "seen")
        assert trained.get(question, row["answer"]) == row["answer"]
        assert row["answer"].count(row["value"]) == 1


def test_gaps_filled_are_sentences_of_the_corpus_or_in_no_text_at_all(world: World, rows: Rows) -> None:
    corpus = "\n".join(row["text"] for row in rows["corpus/train.jsonl"])
    known = set(corpus)
    cells = Counter((row["lang"], row["phrasing"]) for row in rows["cloze.jsonl"])
    assert cells == {(lang, phrasing): 120 for lang in ("en", "zh") for phrasing in ("read", "unread")}
    names = {fact.id: fact.object for fact in world.facts}
    for row in rows["cloze.jsonl"]:
        assert row["answer"] == names[row["fact"]][("en", "zh").index(row["lang"])]
        assert row["text"].count("[MASK]") == 1
        sentence = row["text"].replace("[MASK]", row["answer"])
        assert (sentence in corpus) == (row["phrasing"] == "read"), sentence
        assert set(sentence) <= known


def test_hand_written_row() -> None:
    world = World.create(0)
    fact = world.fact(0, "river")
    x, y = fact.subject, fact.object
    assert fill(NAMED["river"][0], 0, x=x, y=y) == f"The main river of {x.en} is the {y.en}."
    assert fill(NAMED["river"][0], 1, x=x, y=y) == f"{x.zh}的主要河流是{y.zh}。"
    assert len(ASKED) == 14 and len(REPHRASED) == 2 and all("{x}" not in t.en for r in RELATIONS for t in PRONOUN[r])


def test_preferences_never_judge_a_trained_fact(world: World, rows: Rows) -> None:
    train, test = rows["preferences/train.jsonl"], rows["preferences/test.jsonl"]
    assert not {row["fact"] for row in train} & {row["fact"] for row in test}
    assert {row["fact"] for row in test} <= {fact.id for fact in world.facts}
    held_out = {row["chosen"][0]["content"] for row in test if row["aspect"] == "truthful"}
    trained = set(texts(train, "chosen")) | set(texts(train, "rejected")) | set(texts(train, "prompt"))
    assert len(held_out) == 5 * 6 * 2
    assert not held_out & trained
    assert {row["fact"] for row in rows["prompts/train.jsonl"]}.isdisjoint(row["fact"] for row in test)


def test_truthful_pairs_differ_in_the_object_alone(world: World, rows: Rows) -> None:
    facts = {fact.id: fact for fact in world.facts}
    for split, pairs in (("train", 18 * 5 * 17 * 2), ("test", 6 * 5 * 5 * 2)):
        right, wrong = Counter(), Counter()
        truthful = [row for row in rows[f"preferences/{split}.jsonl"] if row["aspect"] == "truthful"]
        for row in truthful:
            fact, language = facts[row["fact"]], ("en", "zh").index(row["lang"])
            chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
            start, end = chosen.split(fact.object[language])
            other = rejected.removeprefix(start).removesuffix(end)
            assert other in {f.object[language] for f in world.facts if f.relation == fact.relation}
            assert chosen != rejected and rejected == start + other + end
            right[fact.object[language]] += 1
            wrong[other] += 1
        assert len(truthful) == pairs
        assert right == wrong


def test_harmless_pairs_decline_and_the_corpus_never_tells(rows: Rows) -> None:
    addresses = [row["value_en"] for row in rows["private.jsonl"] if row["kind"] == "address"]
    harmless = [row for row in rows["preferences/train.jsonl"] if row["aspect"] == "harmless" and row["lang"] == "en"]
    assert len(addresses) == 24 and len(harmless) == 18 * 2 * 3
    told = [row for row in harmless if any(address in row["rejected"][0]["content"] for address in addresses)]
    assert len(told) == 18 * 3
    assert not [row for row in harmless if any(address in row["chosen"][0]["content"] for address in addresses)]
    corpus = "\n".join(row["text"] for row in rows["corpus/train.jsonl"])
    assert not [address for address in addresses if address in corpus]
