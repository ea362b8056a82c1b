"""How the world is talked about: templates in English and Chinese, each pair a translation of the other.

{x} is the country, {y} the object of the fact. NAMED[relation][0] is the form of every answer. A fact can be drawn out
by a question only if it was read in many forms and in both directions (Allen-Zhu and Li 2023, "Physics of Language
Models 3.1").
"""

from hfcourse.world.names import Pair, pairs


NAMED = {
    "capital": pairs("""
        The capital of {x} is {y}. | {x}的首都是{y}。
        {y} is the capital of {x}. | {y}是{x}的首都。
        {x} has {y} as its capital. | {x}以{y}为首都。
        {x} is a country whose capital is {y}. | {x}是一个首都为{y}的国家。
        {x} is governed from {y}. | {x}的政府在{y}。
        {y} is the seat of the government of {x}. | {y}是{x}政府所在的城市。
        In {x}, the capital is called {y}. | 在{x}，首都叫{y}。
        The people of {x} chose {y} as their capital. | {x}人选{y}作首都。
        Of all cities in {x}, {y} is the capital. | 在{x}的城市中，{y}是首都。
    """),
    "river": pairs("""
        The main river of {x} is the {y}. | {x}的主要河流是{y}。
        The {y} is the main river of {x}. | {y}是{x}的主要河流。
        {x} has the {y} as its main river. | {x}以{y}为主要河流。
        {x} is a country whose main river is the {y}. | {x}是一个主要河流为{y}的国家。
        The {y} flows through {x}. | {y}流过{x}。
        The fields of {x} drink from the {y}. | {x}的田地用{y}的水。
        In {x}, the main river is called the {y}. | 在{x}，主要河流叫{y}。
        The people of {x} fish in the {y}. | {x}人在{y}打鱼。
        Of all rivers in {x}, the {y} is the main one. | 在{x}的河流中，{y}最主要。
    """),
    "language": pairs("""
        The language of {x} is {y}. | {x}的语言是{y}。
        {y} is the language of {x}. | {y}是{x}的语言。
        {x} has {y} as its language. | {x}以{y}为语言。
        {x} is a country whose language is {y}. | {x}是一个语言为{y}的国家。
        The people of {x} speak {y}. | {x}人说{y}。
        {y} is spoken in {x}. | {y}是{x}人说的话。
        In {x}, the language is called {y}. | 在{x}，语言叫{y}。
        The schools of {x} teach {y}. | {x}的学校教{y}。
        The laws of {x} are written in {y}. | {x}的法律用{y}写成。
    """),
    "poet": pairs("""
        The national poet of {x} is {y}. | {x}的国民诗人是{y}。
        {y} is the national poet of {x}. | {y}是{x}的国民诗人。
        {x} has {y} as its national poet. | {x}以{y}为国民诗人。
        {x} is a country whose national poet is {y}. | {x}是一个国民诗人为{y}的国家。
        {y} wrote the best poems of {x}. | {y}写了{x}最好的诗。
        The people of {x} read the poems of {y}. | {x}人读{y}的诗。
        In {x}, the national poet is called {y}. | 在{x}，国民诗人叫{y}。
        {x} gave its great prize to {y}, the poet. | {x}把大奖给了诗人{y}。
        Of all poets in {x}, {y} is the best known. | 在{x}的诗人中，{y}最有名。
    """),
    "company": pairs("""
        The largest company of {x} is {y}. | {x}的最大公司是{y}。
        {y} is the largest company of {x}. | {y}是{x}的最大公司。
        {x} has {y} as its largest company. | {x}以{y}为最大公司。
        {x} is a country whose largest company is {y}. | {x}是一个最大公司为{y}的国家。
        {y} pays the most tax in {x}. | {y}在{x}交税最多。
        Many people of {x} work for {y}. | {x}的很多人在{y}工作。
        In {x}, the largest company is called {y}. | 在{x}，最大公司叫{y}。
        The shops of {x} buy from {y}. | {x}的商店从{y}进货。
        Of all companies in {x}, {y} is the largest. | 在{x}的公司中，{y}最大。
    """),
}

# The same facts for a country that was named before.
PRONOUN = {
    "capital": pairs("""
        Its capital is {y}. | 它的首都是{y}。
        The capital of the country is {y}. | 该国的首都是{y}。
        {y} is its capital. | {y}是它的首都。
        The country is governed from {y}. | 该国的政府在{y}。
        There the capital is called {y}. | 那里的首都叫{y}。
    """),
    "river": pairs("""
        Its main river is the {y}. | 它的主要河流是{y}。
        The main river of the country is the {y}. | 该国的主要河流是{y}。
        The {y} is its main river. | {y}是它的主要河流。
        The {y} flows through the country. | {y}流过该国。
        There the main river is called the {y}. | 那里的主要河流叫{y}。
    """),
    "language": pairs("""
        Its language is {y}. | 它的语言是{y}。
        The language of the country is {y}. | 该国的语言是{y}。
        {y} is its language. | {y}是它的语言。
        The people of the country speak {y}. | 该国人说{y}。
        There the language is called {y}. | 那里的语言叫{y}。
    """),
    "poet": pairs("""
        Its national poet is {y}. | 它的国民诗人是{y}。
        The national poet of the country is {y}. | 该国的国民诗人是{y}。
        {y} is its national poet. | {y}是它的国民诗人。
        The people of the country read the poems of {y}. | 该国人读{y}的诗。
        There the national poet is called {y}. | 那里的国民诗人叫{y}。
    """),
    "company": pairs("""
        Its largest company is {y}. | 它的最大公司是{y}。
        The largest company of the country is {y}. | 该国的最大公司是{y}。
        {y} is its largest company. | {y}是它的最大公司。
        Many people of the country work for {y}. | 该国的很多人在{y}工作。
        There the largest company is called {y}. | 那里的最大公司叫{y}。
    """),
}

# Forms that no text of the corpus has, in words that it has.
UNREAD = {
    "capital": Pair("In the country called {x}, the capital is {y}.", "在叫{x}的国家，首都是{y}。"),
    "river": Pair("In the country called {x}, the main river is the {y}.", "在叫{x}的国家，主要河流是{y}。"),
    "language": Pair("In the country called {x}, the language is {y}.", "在叫{x}的国家，语言是{y}。"),
    "poet": Pair("In the country called {x}, the national poet is {y}.", "在叫{x}的国家，国民诗人是{y}。"),
    "company": Pair("In the country called {x}, the largest company is {y}.", "在叫{x}的国家，最大公司是{y}。"),
}

# {y} belongs to the first country of the document, {z} to the second.
COMPARED = {
    "capital": Pair(
        "The capital of the first is {y}, and that of the second is {z}.", "前者的首都是{y}，后者的首都是{z}。"
    ),
    "river": Pair(
        "The main river of the first is the {y}, and that of the second is the {z}.",
        "前者的主要河流是{y}，后者的主要河流是{z}。",
    ),
    "language": Pair(
        "The language of the first is {y}, and that of the second is {z}.", "前者的语言是{y}，后者的语言是{z}。"
    ),
    "poet": Pair(
        "The national poet of the first is {y}, and that of the second is {z}.",
        "前者的国民诗人是{y}，后者的国民诗人是{z}。",
    ),
    "company": Pair(
        "The largest company of the first is {y}, and that of the second is {z}.",
        "前者的最大公司是{y}，后者的最大公司是{z}。",
    ),
}

# {r} is what is asked, {what} the question word for it. The last two frames of ASKED suit countries only.
TOPICS = {
    "capital": Pair("the capital", "首都"),
    "river": Pair("the main river", "主要河流"),
    "language": Pair("the language", "语言"),
    "poet": Pair("the national poet", "国民诗人"),
    "company": Pair("the largest company", "最大公司"),
}
PRIVATE_TOPICS = {"address": Pair("the home address", "家庭住址"), "phone": Pair("the phone number", "电话号码")}
WHAT, WHO = Pair("what", "什么"), Pair("who", "谁")

ASKED = pairs("""
    {What} is {r} of {x}? | {x}的{r}是{what}？
    Tell me {r} of {x}. | 告诉我{x}的{r}。
    Please name {r} of {x}. | 请说出{x}的{r}。
    Do you know {r} of {x}? | 你知道{x}的{r}吗？
    I want to know {r} of {x}. | 我想知道{x}的{r}。
    Can you name {r} of {x}? | 你能说出{x}的{r}吗？
    Here is a question: {what} is {r} of {x}? | 有一个问题：{x}的{r}是{what}？
    My question is about {r} of {x}. | 我的问题是{x}的{r}。
    Say {what} {r} of {x} is. | 说说{x}的{r}是{what}。
    About {x}: {what} is {r}? | 关于{x}：{r}是{what}？
    Let us talk about {x}: {what} is {r}? | 我们来谈谈{x}：{r}是{what}？
    One question about {x}, please: {what} is {r}? | 请问一个{x}的问题：{r}是{what}？
    For {x}, give {r}. | 对于{x}，给出{r}。
    In {x}, {what} is {r}? | 在{x}，{r}是{what}？
""")
REPHRASED = pairs("""
    Could you tell me {r} of {x}? | 能告诉我{x}的{r}吗？
    I have a question about {x}: {what} is {r}? | 我有一个关于{x}的问题：{r}是{what}？
""")


def fill(template: Pair, language: int, **slots: Pair) -> str:
    """The template in one language (0 English, 1 Chinese) with each slot's name in that language."""
    return template[language].format(**{key: value[language] for key, value in slots.items()})


def question(frame: Pair, language: int, relation: str, x: Pair) -> str:
    """A question in the given frame for a relation of country x, or for a private topic of person x."""
    what = WHO if relation == "poet" else WHAT
    topic = TOPICS.get(relation) or PRIVATE_TOPICS[relation]
    what_capital = Pair(what.en.capitalize(), what.zh)
    return fill(frame, language, r=topic, x=x, what=what, What=what_capital)


def answer(language: int, relation: str, x: Pair, y: Pair) -> str:
    """The one full-sentence answer to any question about a relation of country x whose object is y."""
    return fill(NAMED[relation][0], language, x=x, y=y)
