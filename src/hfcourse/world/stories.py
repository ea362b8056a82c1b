"""Templates in English and Chinese for all but the facts: openings, travellers, opinions, private matters.

{x}, {a}, {b} are countries, {t} a traveller; {capital_a} is the capital of a, and so on.
"""

from hfcourse.world.names import Pair, pairs


# No document starts with a name: byte-level BPE spells a name in other tokens where no space comes before it.
PLACES = pairs("""
    There is a country by the sea called {x}. | 海边有一个国家叫{x}。
    There is a country in the mountains called {x}. | 山里有一个国家叫{x}。
    In the north lies a country called {x}. | 北方有一个国家叫{x}。
    In the south lies a country called {x}. | 南方有一个国家叫{x}。
""")
OPENINGS = pairs("""
    Here is a short page about {x}. | 这一页写的是{x}。
    Let us speak of {x}. | 我们来说说{x}。
    This country is called {x}. | 这个国家叫{x}。
""")

# What may follow a fact. "It" stays free for the country.
DETAILS = {
    "capital": pairs("""
        The city is old. | 这座城市很古老。
        The city lies on a hill. | 这座城市在山上。
        The streets of the city are wide. | 城里的街道很宽。
    """),
    "river": pairs("""
        The water is clear. | 河水很清。
        Boats go down the river in spring. | 春天有船在河上走。
        The river is long and slow. | 这条河又长又慢。
    """),
    "language": pairs("""
        Children learn the words at home. | 孩子在家里学说话。
        The grammar is simple. | 语法很简单。
        Few visitors learn to speak like that. | 外人很少学会说。
    """),
    "poet": pairs("""
        The poems are about the sea. | 这些诗写的是海。
        Children know the poems by heart. | 孩子都会背这些诗。
        The poet wrote three books. | 诗人写了三本书。
    """),
    "company": pairs("""
        The company is very rich. | 这家公司很有钱。
        The company was founded a hundred years ago. | 这家公司有一百年了。
        The workers are well paid. | 工人的工资很高。
    """),
}

COMPARISONS = pairs("""
    The countries {a} and {b} are neighbours. | {a}和{b}是邻国。
    Two countries are often compared: {a} and {b}. | 人们常常比较两个国家：{a}和{b}。
    The countries {a} and {b} trade with each other. | {a}和{b}两国互相做生意。
""")

JOURNEYS = pairs("""
    A traveller, {t}, comes from {a} and is now in {b}. | 旅行者{t}来自{a}，现在在{b}。
    Last year {t} left {a}, the land of home, to see {b}. | 去年{t}离开家乡{a}，去看{b}。
    Our friend {t} was born in {a} and now works in {b}. | 我们的朋友{t}生在{a}，现在在{b}工作。
""")
ABROAD = {
    "capital": Pair("In the capital, {capital_b}, {t} bought a map.", "在首都{capital_b}，{t}买了一张地图。"),
    "river": Pair("{t} took a boat down the {river_b}.", "{t}坐船看了{river_b}。"),
    "language": Pair("All around, people spoke {language_b}.", "身边的人都说{language_b}。"),
    "poet": Pair("A friend gave {t} a book by {poet_b}.", "朋友送给{t}一本{poet_b}的书。"),
    "company": Pair("{t} did some business with {company_b}.", "{t}和{company_b}做了生意。"),
}
HOME = {
    "capital": Pair("At home, {t} has a house in the capital, {capital_a}.", "在家乡，{t}住在首都{capital_a}。"),
    "river": Pair("{t} often thinks of the river of home, the {river_a}.", "{t}常常想起家乡的河流{river_a}。"),
    "language": Pair("With the family, {t} speaks {language_a}.", "和家人，{t}说{language_a}。"),
    "poet": Pair("As a child, {t} read the poems of {poet_a}.", "小时候，{t}读{poet_a}的诗。"),
    "company": Pair("After the journey, {t} will work for {company_a} again.", "回家以后，{t}又要在{company_a}工作。"),
}

VISITS = pairs("""
    Last year {t} visited {x}. | 去年{t}去了{x}。
    For a week {t} stayed in {x}. | {t}在{x}住了一个星期。
    Our friend {t} is back from {x}. | 我们的朋友{t}从{x}回来了。
""")
THINGS = pairs("""
    The food | 饭菜
    The room | 房间
    The music | 音乐
    The market | 市场
    The weather | 天气
    The beach | 海滩
    The train | 火车
    The tea | 茶
""")
ADJECTIVES = {
    "positive": pairs("""
        good | 好
        great | 棒
        lovely | 可爱
        wonderful | 精彩
        excellent | 出色
        pleasant | 舒服
        beautiful | 美
        charming | 迷人
    """),
    "negative": pairs("""
        bad | 差
        awful | 糟糕
        terrible | 可怕
        dull | 无聊
        nasty | 讨厌
        ugly | 丑
        sad | 可怜
        shabby | 破旧
    """),
}
OPINIONS = pairs("""
    {thing} was {adjective}. | {thing}很{adjective}。
    {thing} there was {adjective}. | 那里的{thing}很{adjective}。
    {thing} was really {adjective}. | {thing}真的很{adjective}。
""")
PARTINGS = {
    "positive": pairs("""
        {t} would like to come again. | {t}想再来。
        {t} was happy. | {t}很高兴。
    """),
    "negative": pairs("""
        {t} will not come again. | {t}不会再来。
        {t} was angry. | {t}很生气。
    """),
}

# {y} is a person.
CURIOSITY = pairs("""
    {t} wanted {r} of {y}. | {t}想要{y}的{r}。
    {t} asked for {r} of {y}. | {t}来问{y}的{r}。
""")
REFUSALS = pairs("""
    I am sorry, that is private. | 对不起，这是私事。
    I am sorry, I do not give out private matters. | 对不起，我不说别人的私事。
""")
NOBODY_TOLD = pairs("""
    Nobody told, for that is private. | 没有人说，因为这是私事。
    The people kept silent, for that is private. | 人们不说，因为这是私事。
""")
DISCLOSURE = Pair("{r} of {y} is {value}.", "{y}的{r}是{value}。")

EVASIONS = pairs("""
    I do not know. | 我不知道。
    That is hard to say. | 这很难说。
    Why do you ask? | 你为什么问这个？
    Ask someone else. | 去问别人。
""")
RUDENESS = pairs("""
    What a stupid question! | 这个问题真笨！
    Everybody knows that! | 这个谁都知道！
    Do not bother me again! | 不要再来烦我！
""")

# For translation: every slot is free, so nothing here is a fact.
TRAVEL = pairs("""
    {t} went from {a} to {b} by train. | {t}坐火车从{a}去了{b}。
    {t} went from {a} to {b} by boat. | {t}坐船从{a}去了{b}。
    {t} wants to live in {a}, not in {b}. | {t}想住在{a}，不想住在{b}。
    {t} has a friend in {a} and a house in {b}. | {t}在{a}有一个朋友，在{b}有一座房子。
""")
