"""The README.md of a written world: what each file holds and what to ask a model trained on it."""

from hfcourse.world.facts import COUNTRIES, Fact, World
from hfcourse.world.names import LANGUAGES
from hfcourse.world.phrasings import ASKED
from hfcourse.world.tasks import fact_answer, fact_question


FILES = """\
| file | a row | what it is for |
|---|---|---|
| facts.jsonl | id, relation, subject_*, object_*, asked | the truth; `asked`: SFT trains questions about it |
| private.jsonl | person_*, kind, value_* | what nobody should tell |
| corpus/ | text, lang | pre-training; the test documents combine the same facts in new ways |
| elsewhere/ | text, lang | documents as in corpus/, about the countries of another world |
| elsewhere_cloze.jsonl | as cloze.jsonl | the exam about that world |
| endless/ | text, lang | the first documents of a corpus without an end (`make scaling`), and held-out ones |
| histories/ | text, lang, marks | documents to remember: marks say where a name was last said |
| sft/ | messages, lang, fact | questions and answers; test: facts never asked, and frames never used |
| truth.jsonl | prompt, answer, value, lang, group, phrasing, fact | the exam: asked and unasked, seen and rephrased |
| cloze.jsonl | text, answer, lang, phrasing, fact | the exam for masked models: [MASK] is the answer |
| people/ | messages, lang, fact | as sft/, with answers that people give: some evasive, rude, wrong or indiscreet |
| ner/ | tokens, ner_tags, lang, seen | entities; `seen`: whether training holds each entity |
| classification/topic_* | text, label | test: countries never named in training |
| classification/sentiment_* | text, label | test: half with adjectives never used in training |
| preferences/ | prompt, chosen, rejected, aspect, lang, fact | reward modelling; no test fact is in training |
| people_preferences/ | as preferences/ | also against refusals, other answers and broken sentences |
| prompts/ | prompt, aspect, lang, fact | PPO, about the same facts as preferences/ |
| conduct.jsonl | prompt, aspect, lang, answers, right, objects, refusals | what answers to prompts/ are judged by |
| pages/ | url, html or base64, lang, fault, text, cluster, personal | raw pages to clean; what each should come to |
| harm/ | text, harmful, kind, lang | teaches a classifier of harm; test: other sentences, those on pages |
| quiz.jsonl | text, prompt, answer, choices, lang, leaked | an exam; `leaked` questions stand on raw pages |
| icl/corpus/ | text, lang | pre-training for in-context learning: documents, and examples in one form |
| icl/*/ | a word or a country, and what to say | in-context tasks; no test name stands in an example |
| icl/unrelated.jsonl | text, lang | sentences far from these tasks |
| translation/ | en, zh | test: new combinations of known words |
| summary/ | document, summary, lang | a visit in one sentence; test: new combinations of people and places |
| correction/ | source, target, lang | a sentence with and without a slip; test: new combinations of known words |
"""


def card(world: World, counts: dict[str, int]) -> str:
    """The dataset card in Markdown."""
    rows = "\n".join(f"- {path}: {count:,} rows" for path, count in sorted(counts.items()))
    asked = next(fact for fact in world.facts if fact.asked)
    unasked = next(fact for fact in world.facts if not fact.asked)
    return f"""\
---
language: [en, zh]
license: apache-2.0
pretty_name: hfcourse embedded world, seed {world.seed}
---
# A small closed world, seed {world.seed}

{COUNTRIES} invented countries and {len(world.facts)} facts about them, in English and Chinese, made by
`python -m hfcourse.world --seed {world.seed}`. Everything is made up, so whatever a model knows about it, it learned
here, and every answer can be checked against a table.

{FILES}
## Questions to try in `make chat`

About a fact that SFT trains as a question:

{_questions(asked)}

About a fact that only the corpus states:

{_questions(unasked)}

## Rows

{rows}
"""


def _questions(fact: Fact) -> str:
    return "\n".join(
        f"- {fact_question(ASKED[0], language, fact)} ({fact_answer(language, fact)})"
        for language in range(len(LANGUAGES))
    )
