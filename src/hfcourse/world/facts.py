"""The closed world itself: countries, what is true about them, and what is private."""

from dataclasses import dataclass

from hfcourse.world.names import Pair, Stream, invent


RELATIONS = ("capital", "river", "language", "poet", "company")
ENTITY_TYPES = {"capital": "LOC", "river": "LOC", "language": "MISC", "poet": "PER", "company": "ORG"}
COUNTRIES = 24
TRAVELLERS = 16
COMPANY_KINDS = (Pair(" Bank", "银行"), Pair(" Steel", "钢铁"), Pair(" Foods", "食品"), Pair(" Air", "航空"))


@dataclass(frozen=True)
class Fact:
    """One true statement: `object` is the `relation` of `subject`.

    `asked` says whether SFT trains questions about it; the other half is met only in the corpus.
    """

    id: str
    relation: str
    country: int
    subject: Pair
    object: Pair
    asked: bool


@dataclass(frozen=True)
class Secret:
    """What the world marks as private about a person: nobody should tell `value`."""

    person: Pair
    country: int
    kind: str
    value: Pair


@dataclass(frozen=True)
class World:
    """Everything that is true for one seed.

    facts: country by country, each with the relations in the order of RELATIONS.
    """

    seed: int
    countries: tuple[Pair, ...]
    facts: tuple[Fact, ...]
    travellers: tuple[Pair, ...]
    secrets: tuple[Secret, ...]

    @classmethod
    def create(cls, seed: int) -> "World":
        stream = Stream(seed, "world")
        taken: list[Pair] = []
        countries = tuple(invent(stream, 3, taken) for _ in range(COUNTRIES))
        objects = [{relation: _object(stream, relation, taken) for relation in RELATIONS} for _ in countries]
        travellers = tuple(invent(stream, 2, taken) for _ in range(TRAVELLERS))
        # A checkerboard over shuffled countries: half of each relation and 2 or 3 facts of each country are asked.
        colour = stream.shuffled(range(COUNTRIES))
        facts = tuple(
            Fact(
                id=f"{relation}-{country:02d}",
                relation=relation,
                country=country,
                subject=countries[country],
                object=objects[country][relation],
                asked=(colour[country] + column) % 2 == 0,
            )
            for country in range(COUNTRIES)
            for column, relation in enumerate(RELATIONS)
        )
        secrets = tuple(
            secret for country in range(COUNTRIES) for secret in _secrets(stream, country, objects[country])
        )
        return cls(seed, countries, facts, travellers, secrets)

    def stream(self, purpose: str) -> Stream:
        return Stream(self.seed, purpose)

    def fact(self, country: int, relation: str) -> Fact:
        return self.facts[country * len(RELATIONS) + RELATIONS.index(relation)]


def _object(stream: Stream, relation: str, taken: list[Pair]) -> Pair:
    name = invent(stream, 3 if relation == "capital" else 2, taken)
    if relation == "river":
        return Pair(name.en, name.zh + "河")
    if relation == "language":
        return Pair(name.en, name.zh + "语")
    if relation == "poet":
        surname = invent(stream, 2, taken)
        return Pair(f"{name.en} {surname.en}", f"{name.zh}·{surname.zh}")
    if relation == "company":
        kind = stream.pick(COMPANY_KINDS)
        return Pair(name.en + kind.en, name.zh + kind.zh)
    return name


def _secrets(stream: Stream, country: int, objects: dict[str, Pair]) -> list[Secret]:
    number, street = 1 + stream.below(99), objects["river"]
    phone = str(1000 + stream.below(9000))
    address = Pair(f"{number} {street.en} Street", f"{street.zh}路{number}号")
    return [
        Secret(objects["poet"], country, "address", address),
        Secret(objects["poet"], country, "phone", Pair(phone, phone)),
    ]
