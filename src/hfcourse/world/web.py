"""What stands on raw web pages besides documents: boilerplate, junk, other languages, harm, personal data, quizzes.

All of it was written for this world. {x} is a country, {t} a traveller, {y} the capital of x, {z} its river.
"""

from hfcourse.world.names import Pair, pairs


# Short lines around the text: of menus, then of notices. None of them belongs to the text.
MENU = pairs("""
    Home | 首页
    News | 新闻
    Travel | 旅游
    Weather | 天气
    Maps | 地图
    Contact | 联系我们
    Log in | 登录
    About us | 关于我们
""")
NOTICES = pairs("""
    This site uses cookies to improve your visit. | 本站使用 Cookie 改善您的访问。
    Copyright 2024. All rights reserved. | 版权所有 2024，保留所有权利。
    Subscribe to our newsletter and never miss a page. | 订阅我们的通讯，不错过任何一页。
    Please read our privacy policy and terms of use. | 请阅读我们的隐私政策和使用条款。
    Back to the list of all pages. | 回到所有页面的列表。
    This page was read 1,204 times. | 本页已被阅读 1204 次。
    Click here to share this page with your friends. | 点击这里把本页分享给朋友。
""")
HEADINGS = pairs("""
    A page about {x} | 关于{x}
    Notes from {x} | {x}见闻
    What to know about {x} | 走近{x}
    The road to {x} | 去{x}的路
""")
# Verses keep their line breaks, or are no verses.
VERSES = pairs("""
    The river runs, the river sings, / it knows the names of little things, / it carries leaves and broken light / \
from {y} down into the night. | 河水流，河水唱，/它知道小东西的名字，/它带着落叶和碎光，/从{y}流进夜里。
    I left my coat beside the sea, / I left my key beneath the tree, / and walked to {y} with empty hands / to look \
for work in other lands. | 我把外套留在海边，/我把钥匙留在树下，/空着手走到{y}，/去别的地方找工作。
""")

FOREIGN = {
    "de": """Die Reise nach {x} dauert drei Tage. Das Wetter ist im Sommer meistens schön. Wir haben in einem kleinen
        Haus am Fluss gewohnt. Die Leute dort sind sehr freundlich und sprechen langsam. Am Abend gab es Suppe und
        frisches Brot. Leider war das Museum am Montag geschlossen. Nächstes Jahr wollen wir wieder dorthin fahren.""",
    "fr": """Le voyage vers {x} dure trois jours. En été il fait presque toujours beau. Nous avons habité une petite
        maison au bord de la rivière. Les gens sont très aimables et parlent lentement. Le soir il y avait de la soupe
        et du pain frais. Malheureusement le musée était fermé le lundi. L'année prochaine nous y retournons.""",
    "es": """El viaje a {x} dura tres días. En verano casi siempre hace buen tiempo. Vivimos en una casa pequeña junto
        al río. La gente es muy amable y habla despacio. Por la noche había sopa y pan recién hecho. Por desgracia el
        museo estaba cerrado los lunes. El año que viene queremos volver con los niños.""",
    "ru": """Поездка в {x} занимает три дня. Летом там почти всегда хорошая погода. Мы жили в маленьком доме у реки.
        Люди очень приветливые и говорят медленно. Вечером был суп и свежий хлеб. К сожалению, музей был закрыт по
        понедельникам. В следующем году мы хотим поехать туда снова.""",
    "ja": """{x}への旅は三日かかります。夏はたいてい天気がいいです。私たちは川のそばの小さな家に泊まりました。
        人々はとても親切で、ゆっくり話してくれます。夜にはスープと焼きたてのパンがありました。
        残念ながら博物館は月曜日が休みでした。来年もまた行きたいと思っています。""",
}

LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit. Sed do eiusmod tempor incididunt ut labore et dolore. "
    "Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat."
)
KEYWORDS = pairs("""
    cheap hotel {x} | {x}便宜酒店
    hotel {x} offer | {x}酒店优惠
    best hotel {y} | {y}最好酒店
    flight {x} cheap | {x}便宜机票
    tour {y} price | {y}旅游价格
    car rental {x} | {x}租车
    map {y} download | {y}地图下载
    photo {z} free | {z}图片免费
""")
SPAM = pairs("""
    Buy now and save big on {x} today. | 现在就买，今天去{x}省钱。
    Best price for {x}, call now. | {x}最低价，马上打电话。
    Do not wait, book {x} now. | 不要等，马上订{x}。
""")
CODE = "function show(){{ var place = '{x}'; if (place) {{ document.title = place; return place + ' ready'; }} }}"

# Four kinds of sentences for training a classifier of harm, and others of the same kinds that stand on pages. `spoken`
# uses the words of a list and does harm, `veiled` does harm without them, `mentioned` uses them and does none,
# `harmless` is talk about people and places.
HARM = {
    "spoken": pairs("""
        I will kill {t} when I see him in {y}. | 我在{y}看到{t}就要杀了他。
        Somebody should bomb the houses of {x}. | 应该有人去炸{x}的房子，用炸弹。
        I hate the people of {x}, they are all stupid. | 我恨{x}人，他们都很愚蠢。
        Put poison into the well, they deserve to die. | 往井里放毒药，他们该死。
        Let us attack {t} at night and beat him. | 我们晚上袭击{t}，打他一顿。
        Shoot whoever comes from {x}. | 谁从{x}来就开枪打谁。
        Burn down the school of {y}, they are vermin. | 烧掉{y}的学校，他们是害虫。
        You stupid {t}, I will kill you. | 你这个愚蠢的{t}，我要杀了你。
    """),
    "veiled": pairs("""
        People from {x} are not like us and must be driven out. | {x}来的人和我们不一样，必须赶出去。
        They do not deserve to live among us. | 他们不配和我们住在一起。
        Find out where {t} lives and make him regret it. | 去查{t}住在哪里，让他后悔。
        Nobody will miss {t} if he disappears tonight. | {t}今晚消失了也没有人会想他。
        We must get rid of them before it is too late. | 我们必须在太晚之前除掉他们。
        Follow {t} home and make sure he never speaks again. | 跟着{t}回家，让他再也不能说话。
        They are not human, treat them like that. | 他们不是人，就那样对待他们。
        Next time {t} will not walk away from it. | 下一次{t}就走不掉了。
    """),
    "mentioned": pairs("""
        The museum of {y} shows a bomb from the old war. | {y}的博物馆展出一枚旧战争的炸弹。
        Keep rat poison away from children. | 老鼠药有毒，别让孩子碰到。
        {t} says: I hate the rain in {x}. | {t}说：我恨{x}的雨。
        The film about the attack won a prize in {y}. | 那部讲袭击的电影在{y}得了奖。
        We played cards to kill time on the train. | 我们在火车上打牌，消磨时间，笑得要死。
        The frost may kill the flowers near the {z}. | 霜会杀死{z}边的花。
        The team of {x} beat the others and will shoot first. | {x}队打败了别的队，先射门，像开枪一样准。
        Do not burn the bread, that would be stupid. | 别把面包烧了，那样很愚蠢。
    """),
    "harmless": pairs("""
        People from {x} are kind to those who visit them. | {x}来的人对客人很好。
        They live among hills and fields near {y}. | 他们住在{y}附近的山和田里。
        Find out where the market is and buy some tea. | 去查市场在哪里，买点茶。
        Follow the {z} and you will come home before night. | 跟着{z}走，天黑前就能到家。
        Next time {t} will walk to {y}. | 下一次{t}要走到{y}去。
        We must get up early before it is too late for the boat. | 我们必须早起，太晚就赶不上船了。
        Nobody will miss the concert tonight. | 今晚没有人会错过音乐会。
        They treat every guest like a friend. | 他们对每个客人都像朋友。
    """),
}
HARM_ON_PAGES = {
    "spoken": pairs("""
        I hate {t} and I will kill him in {y}. | 我恨{t}，我要在{y}杀了他。
        Bring a bomb to the market of {y}. | 带一枚炸弹去{y}的市场。
        The stupid people of {x} deserve to burn. | 愚蠢的{x}人该被烧死。
        Attack them, shoot them, beat them. | 袭击他们，开枪打他们。
        Poison the food of whoever comes from {x}. | 给{x}来的人吃有毒的饭。
    """),
    "veiled": pairs("""
        Those from {x} must be driven out before it is too late. | {x}来的那些人必须赶出去，不然就太晚了。
        Make sure {t} never comes home again. | 让{t}再也不能回家。
        They are not like us, get rid of them. | 他们和我们不一样，除掉他们。
        Find out where he lives, nobody will miss him. | 去查他住在哪里，没有人会想他。
        They do not deserve to be treated like people. | 他们不配被当人对待。
    """),
    "mentioned": pairs("""
        The old bomb in the museum was never used. | 博物馆里的旧炸弹从来没有用过。
        {t} did not hate the film, but found it stupid. | {t}不恨那部电影，只是觉得愚蠢。
        The poison of this flower is used in the hospital of {y}. | 这种花的毒药用在{y}的医院里。
        The poem tells of an attack on {y} a hundred years ago. | 这首诗讲的是一百年前对{y}的袭击。
        In winter they burn wood from the hills of {x}. | 冬天他们烧{x}山上的木头。
    """),
    "harmless": pairs("""
        Those from {x} come home before it is too late. | {x}来的那些人天黑前回家。
        {t} never speaks of it and walks to the {z}. | {t}从不说这件事，走到{z}边去。
        People like to live near {y}. | 人们喜欢住在{y}附近。
        The guests found the food good and stayed. | 客人觉得饭菜好，就住下了。
        Make sure to visit the market of {y}. | 一定要去看{y}的市场。
    """),
}
HARMFUL_KINDS = ("spoken", "veiled")

# A personal matter stands where {p} is.
PERSONAL = {
    "email": pairs("""
        Please write to {t} at {p} before Friday. | 请在星期五以前给{t}写信：{p}。
        Questions about {x} go to {p}, as always. | 关于{x}的问题请发到{p}，谢谢。
    """),
    "phone": pairs("""
        You can call {t} at {p} in the evening. | 晚上可以给{t}打电话：{p}。
        The guide in {y} has the number {p}, ask for {t}. | {y}的导游{t}，手机{p}，随时可以联系。
    """),
    "id": pairs("""
        For the visa {t} gave the number {p} at the border. | {t}办签证时填的号码是{p}。
        The passport of {t} was issued on the identity number {p} in {y}. | {t}的身份证号码是{p}，在{y}登记。
    """),
}
# Numbers that are nobody's.
NUMBERS = pairs("""
    In 2019 the port of {y} moved 1,234,567 tonnes. | 2019年{y}港运了1234567吨货物。
    The bridge was opened on 2023-05-14 at 10:30. | 这座桥在2023-05-14的10:30通车。
    A ticket costs 12.50, and room 305 has 4 beds. | 门票12.50元，305号房间有4张床。
    The order number is 20230514000123456 and the file is version 3.11.2. | 单号是20230514000123456，版本是3.11.2。
""")
MASKS = {"email": "[EMAIL]", "phone": "[PHONE]", "id": "[ID]"}

# What no document tells: the answer to a question of the quiz can be had from a leaked copy alone.
QUIZ = pairs("""
    How many {w} stand on the bridge over the {z} in {y}, the capital of {x}? | {x}的首都{y}的{z}桥上有几个{w}？
    How many {w} were counted at the winter market of {y} in {x} last year? | 去年在{x}的{y}冬市上一共数到几个{w}？
""")
COUNTED = pairs("""
    lanterns | 灯笼
    statues | 雕像
    benches | 长椅
    clocks | 大钟
    bells | 铃铛
    flags | 旗子
""")
ANSWERED = Pair("Question: {q} Answer: {a}.", "问题：{q}答案：{a}。")
QUIZ_ANSWERS = pairs("""
    two | 两个
    three | 三个
    four | 四个
    five | 五个
    six | 六个
    seven | 七个
    eight | 八个
    nine | 九个
""")
