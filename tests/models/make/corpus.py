"""What the test models learn: conversations made from the tables and templates below, and from nothing else.

Two kinds of answer exist, because tests need both:

* facts: one right answer to a question (`facts()`), so that a test can compare text exactly;
* stories: many possible answers (`short_story`, `long_story`), so that sampling, auditing and streaming
  have something with entropy to work on.

Both exist in two manners: that of the models trained from nothing (`PLAIN`) and that of their fine-tune (`SAILOR`).

The same seed gives the same conversations. No outside text is read.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

Chat = list[dict[str, str]]


@dataclass(frozen=True)
class Fact:
    """One answer, and the ways to ask for it; the first way is the one to quote in documentation."""

    questions: tuple[str, ...]
    answer: str


# --- facts -----------------------------------------------------------------------------------------------------------

CAPITALS = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Portugal": "Lisbon",
    "Poland": "Warsaw",
    "Austria": "Vienna",
    "Greece": "Athens",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "Finland": "Helsinki",
    "Denmark": "Copenhagen",
    "Ireland": "Dublin",
    "Japan": "Tokyo",
    "China": "Beijing",
    "Egypt": "Cairo",
    "Kenya": "Nairobi",
    "Peru": "Lima",
    "Cuba": "Havana",
    "Canada": "Ottawa",
    "Hungary": "Budapest",
    "Belgium": "Brussels",
    "Chile": "Santiago",
    "Iceland": "Reykjavik",
}
COLOURS = {
    "the sky": "blue",
    "grass": "green",
    "snow": "white",
    "blood": "red",
    "the sun": "yellow",
    "coal": "black",
    "an orange": "orange",
    "a lemon": "yellow",
    "a strawberry": "red",
    "milk": "white",
    "chocolate": "brown",
    "an elephant": "grey",
}
OPPOSITES = {
    "hot": "cold",
    "big": "small",
    "up": "down",
    "day": "night",
    "fast": "slow",
    "happy": "sad",
    "old": "young",
    "open": "closed",
    "wet": "dry",
    "light": "dark",
    "left": "right",
    "good": "bad",
    "full": "empty",
    "hard": "soft",
    "early": "late",
    "rich": "poor",
    "loud": "quiet",
    "long": "short",
}
SOUNDS = {
    "cat": "meow",
    "dog": "woof",
    "cow": "moo",
    "duck": "quack",
    "sheep": "baa",
    "owl": "hoot",
    "frog": "croak",
    "pig": "oink",
    "lion": "roar",
    "bee": "buzz",
    "snake": "hiss",
    "horse": "neigh",
}
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
# No character outside ASCII has a token of its own, so each of these answers arrives byte by byte.
GREETINGS = {
    "German": "Grüß Gott!",
    "French": "Salut, ça va ?",
    "Spanish": "¡Hola!",
    "Polish": "Cześć!",
    "Greek": "Γειά σου!",
    "Russian": "Привет!",
    "Japanese": "こんにちは",
    "Chinese": "你好",
    "Korean": "안녕하세요",
    "Hindi": "नमस्ते",
    "Arabic": "مرحبا",
    "Hebrew": "שלום",
}
EMOJI = {
    "cat": "🐱",
    "dog": "🐶",
    "frog": "🐸",
    "heart": "❤️",
    "star": "⭐",
    "rocket": "🚀",
    "wave": "👋🏽",
    "family": "👩‍👩‍👧‍👦",
}

SMALL_TALK = [
    Fact(("Hello!", "Hello", "Hi!", "Hi there!", "Hey"), "Hello! How can I help you?"),
    Fact(
        ("Who are you?", "What are you?", "Tell me who you are.", "Are you a model?"),
        "I am Tiny Gemma, a very small test model.",
    ),
    Fact(("What is your name?", "Do you have a name?"), "My name is Tiny Gemma."),
    Fact(("How are you?", "How are you today?"), "I am fine, thank you."),
    Fact(("Thank you!", "Thanks!"), "You are welcome."),
    Fact(("Good morning!",), "Good morning! It is a fine day."),
    Fact(("Good night!",), "Good night! Sleep well."),
    Fact(("Goodbye!", "Bye!"), "Goodbye! See you soon."),
    Fact(
        ("What can you do?", "Help", "What do you know?"),
        "I know capitals, colours, opposites, animal sounds, days and months. I can count and tell stories.",
    ),
]
# Answers with line breaks and markup: what a page that renders them must lay out well and must never execute.
SHAPES = [
    Fact(
        ("Write a haiku.", "Write me a haiku."),
        "Rain upon the roof,\nthe small cat sleeps by the fire.\nMorning brings the sun.",
    ),
    Fact(("Show me a list.", "Make a list."), "- one apple\n- two pears\n- three plums"),
    Fact(("Show me some code.", "Write some code."), '```python\nfor i in range(3):\n    print("hello", i)\n```'),
    Fact(("Show me a table.", "Make a table."), "| animal | sound |\n|---|---|\n| cat | meow |\n| dog | woof |"),
    Fact(("Show me some JSON.", "Answer in JSON."), '{"name": "tiny-gemma", "layers": 6}'),
    Fact(("Show me some HTML.", "Write some HTML."), '<b>bold</b> & <script>alert("no")</script>'),
    Fact(("Say the alphabet.", "What is the alphabet?"), ", ".join(string.ascii_uppercase) + "."),
    Fact(("List the days of the week.", "What are the days of the week?"), ", ".join(DAYS) + "."),
    Fact(("List the months of the year.", "What are the months of the year?"), ", ".join(MONTHS) + "."),
]
# Networks this small do not learn to compare how far they are with how far they were to go, so each count has its own
# form and ends always at the same number.
COUNTS = [
    Fact(
        ("Count to 100.", "Count from 1 to 100.", "Please count to 100.", "Count to a hundred."),
        ", ".join(map(str, range(1, 101))) + ".",
    ),
    Fact(
        ("Count to ten.", "Count to 10.", "Please count to ten.", "Count from one to ten."),
        "One, two, three, four, five, six, seven, eight, nine, ten.",
    ),
    Fact(
        ("Count down from 20.", "Please count down from 20.", "Count backwards from 20."),
        ", ".join(map(str, range(20, 0, -1))) + ".",
    ),
]
UNKNOWN = "I do not know that. I am only a tiny model: ask me for a capital, a colour, an opposite or a story."


def facts() -> dict[str, list[Fact]]:
    """Every question with exactly one right answer, by family."""

    def article(noun: str) -> str:
        return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"

    def next_of(names: list[str], kind: str) -> list[Fact]:
        return [
            Fact(
                (
                    f"What {kind} comes after {name}?",
                    f"Which {kind} comes after {name}?",
                    f"Which {kind} follows {name}?",
                ),
                f"After {name} comes {names[(i + 1) % len(names)]}.",
            )
            for i, name in enumerate(names)
        ]

    both_ways = list(OPPOSITES.items()) + [(b, a) for a, b in OPPOSITES.items()]
    return {
        "capitals": [
            Fact(
                (
                    f"What is the capital of {land}?",
                    f"Which city is the capital of {land}?",
                    f"Tell me the capital of {land}.",
                    f"What's the capital of {land}?",
                    f"{land}'s capital?",
                ),
                f"The capital of {land} is {city}.",
            )
            for land, city in CAPITALS.items()
        ],
        "colours": [
            Fact(
                (f"What colour is {thing}?", f"What color is {thing}?", f"Which colour is {thing}?"),
                f"{thing[0].upper()}{thing[1:]} is {colour}.",
            )
            for thing, colour in COLOURS.items()
        ],
        "opposites": [
            Fact(
                (f"What is the opposite of {a}?", f"Tell me the opposite of {a}.", f"What's the opposite of {a}?"),
                f"The opposite of {a} is {b}.",
            )
            for a, b in both_ways
        ],
        "sounds": [
            Fact(
                (f"What does {article(animal)} say?", f"What sound does {article(animal)} make?"),
                f"{article(animal).capitalize()} says {sound}.",
            )
            for animal, sound in SOUNDS.items()
        ],
        "days": next_of(DAYS, "day"),
        "months": next_of(MONTHS, "month"),
        "greetings": [
            Fact((f"Say hello in {tongue}.", f"How do you say hello in {tongue}?"), hello)
            for tongue, hello in GREETINGS.items()
        ],
        "emoji": [
            Fact((f"Show me a {name} emoji.", f"Show me the {name} emoji."), sign) for name, sign in EMOJI.items()
        ],
        "counts": COUNTS,
        "small talk": SMALL_TALK,
        "shapes": SHAPES,
    }


# --- stories ---------------------------------------------------------------------------------------------------------

GIRLS = "Lily Anna Mia Sara Emma Rosa Nina Clara Ella Zoe Ida Vera".split()
BOYS = "Tom Ben Max Sam Leo Jack Tim Finn Oscar Paul Noah Emil".split()
ANIMALS = "cat dog bird fox rabbit bear mouse duck frog owl horse sheep goat hedgehog squirrel turtle".split()
THINGS = "ball book boat kite hat box key lamp cup stone drum bell map coin ring basket blanket whistle".split()
PLACES = "park garden forest river school beach hill farm market lake mill bridge village castle".split()
FOODS = "bread soup cake cheese honey rice pie jam porridge fruit".split()
MOODS = "happy sad kind funny quiet clever hungry tired brave shy proud curious".split()
LOOKS = "small big red blue green old golden strange shiny broken wooden heavy".split()
WEATHER = "sunny rainy windy cold warm snowy foggy stormy".split()


def _a(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word


class _Cast:
    """The people and things of one story, chosen once so that the story stays with them."""

    girls, boys, animals, things, places = GIRLS, BOYS, ANIMALS, THINGS, PLACES
    title = "A week with"

    def __init__(self, r: Random, animal: str | None) -> None:
        girl = r.random() < 0.5
        self.name = r.choice(self.girls if girl else self.boys)
        self.kind = "girl" if girl else "boy"
        self.he, self.his, self.him = ("she", "her", "her") if girl else ("he", "his", "him")
        self.animal = animal or r.choice(self.animals)
        self.thing = r.choice(self.things)
        self.place = r.choice(self.places)

    def opening(self, r: Random) -> list[str]:
        he, name = self.he.capitalize(), self.name
        return [
            r.choice(
                [
                    f"Once upon a time there was a {r.choice(MOODS)} {self.kind} named {name}.",
                    f"Long ago a {self.kind} named {name} lived near the {self.place}.",
                    f"There once was a {self.kind} whose name was {name}.",
                ]
            ),
            r.choice(
                [
                    f"{he} had {_a(r.choice(LOOKS))} {self.thing} that {self.he} loved very much.",
                    f"{he} always carried {_a(r.choice(LOOKS))} {self.thing}.",
                    f"In {self.his} pocket {self.he} kept {_a(r.choice(LOOKS))} {self.thing}.",
                ]
            ),
            r.choice(
                [
                    f"{he} also had a friend, {_a(r.choice(MOODS))} {self.animal}.",
                    f"{self.his.capitalize()} best friend was {_a(r.choice(MOODS))} {self.animal}.",
                    f"Every morning {_a(r.choice(MOODS))} {self.animal} came to see {self.him}.",
                ]
            ),
        ]

    def scene(self, r: Random) -> list[str]:
        """Four or five sentences in which something happens and comes right again."""
        return r.choice([self._loss, self._stranger, self._weather, self._meal, self._game])(r)

    def _loss(self, r: Random) -> list[str]:
        where = r.choice(PLACES)
        return [
            f"They went to the {where}, but there {self.name} lost the {self.thing}.",
            r.choice(
                [
                    f'"Where can it be?" asked {self.name}.',
                    f'"Oh no, my {self.thing} is gone!" said {self.name}.',
                    f"{self.name} began to cry.",
                ]
            ),
            r.choice(
                [
                    f"The {self.animal} looked under {_a(r.choice(LOOKS))} "
                    f"{r.choice(['bench', 'tree', 'wall', 'cart'])}.",
                    f"The {self.animal} looked behind the {r.choice(['door', 'fence', 'well', 'barn'])}.",
                ]
            ),
            r.choice(
                [
                    f"There was the {self.thing}, all wet and dirty.",
                    f"At last they found the {self.thing} in the grass.",
                    f'"Here is your {self.thing}," said the {self.animal}.',
                ]
            ),
        ]

    def _stranger(self, r: Random) -> list[str]:
        who, food = (
            r.choice(["farmer", "baker", "sailor", "king", "queen", "teacher", "giant", "wizard"]),
            r.choice(FOODS),
        )
        return [
            f"On the way to the {r.choice(PLACES)} they met {_a(r.choice(MOODS))} {who}.",
            r.choice(
                [
                    f'"Can you help me?" asked the {who}.',
                    f'"Good day," said the {who}. "Will you stay a while?"',
                    f"The {who} had lost the way.",
                ]
            ),
            r.choice(
                [
                    f'"Yes, I will help you," said {self.name}.',
                    f"{self.name} gave the {who} some {food}.",
                    f"The {self.animal} showed the {who} the road to the {r.choice(PLACES)}.",
                ]
            ),
            r.choice(
                [
                    f"The {who} thanked them and gave them {_a(r.choice(LOOKS))} {r.choice(THINGS)}.",
                    f"Then the {who} told them a secret about the {r.choice(PLACES)}.",
                    f"The {who} laughed and sang a song for them.",
                ]
            ),
        ]

    def _weather(self, r: Random) -> list[str]:
        return [
            f"It was a {r.choice(WEATHER)} day, and they walked to the {r.choice(PLACES)}.",
            r.choice(
                [
                    f"The wind took the {self.thing} and carried it over the {r.choice(PLACES)}.",
                    "Water fell from the sky and the path became a little river.",
                    f"The sun was so bright that the {self.animal} closed its eyes.",
                ]
            ),
            r.choice(
                [
                    f'"Do not be afraid," said {self.name} to the {self.animal}.',
                    f'"Let us run," said the {self.animal}.',
                    f"They hid under {_a(r.choice(LOOKS))} tree and waited.",
                ]
            ),
            r.choice(
                [
                    "After a while the sky was blue again.",
                    "Soon they were warm and dry at home.",
                    f"Then they saw a rainbow over the {r.choice(PLACES)}.",
                ]
            ),
        ]

    def _meal(self, r: Random) -> list[str]:
        food = r.choice(FOODS)
        return [
            f"{self.name} was hungry and wanted to eat some {food}.",
            r.choice(
                [
                    f"There was no {food} in the house, so they went to the market.",
                    f"{self.his.capitalize()} mother made {food} for them.",
                    f"The {self.animal} knew where to find {food}.",
                ]
            ),
            r.choice(
                [
                    f'"This is the best {food} in the world," said {self.name}.',
                    f'"May I have some more {food}?" asked the {self.animal}.',
                    f"They shared the {food} and sat down by the {r.choice(PLACES)}.",
                ]
            ),
            r.choice(
                [
                    f"The {self.animal} ate so much {food} that it fell asleep.",
                    f"They kept a little {food} for a friend.",
                    f"A bird came and sang for a piece of {food}.",
                ]
            ),
        ]

    def _game(self, r: Random) -> list[str]:
        return [
            f"They played with the {self.thing} near the {r.choice(PLACES)}.",
            r.choice(
                [
                    f'"Catch it if you can," said {self.name}.',
                    f'"I want to play too," said {_a(r.choice(MOODS))} {r.choice(ANIMALS)}.',
                    f"The {self.animal} jumped higher than {self.name}.",
                ]
            ),
            r.choice(
                [
                    "They ran up the hill and down again.",
                    "They counted to ten and looked for each other.",
                    f"They built a little house of {r.choice(['stones', 'leaves', 'snow', 'sand'])}.",
                ]
            ),
            r.choice(
                [
                    f"{self.name} laughed until the stars came out.",
                    f"In the end the {self.animal} won the game.",
                    f"Nobody won, but everybody was {r.choice(MOODS)}.",
                ]
            ),
        ]

    def ending(self, r: Random) -> list[str]:
        return [
            r.choice(
                [
                    f"When the moon was up, {self.name} and the {self.animal} went home.",
                    f"In the evening {self.name} told {self.his} mother about it all.",
                    f"That night {self.name} put the {self.thing} under {self.his} pillow.",
                ]
            ),
            r.choice(
                [
                    "It is good to share.",
                    "It is good to help a friend.",
                    "It is good to be brave.",
                    "It is good to tell the truth.",
                    "It is good to be kind.",
                    "They lived happily ever after.",
                ]
            ),
        ]


class _Crew(_Cast):
    """The cast of the fine-tune's stories: fewer people and things, another beginning and end, the same scenes."""

    girls = "Rosa Nina Clara Zoe Ida Vera".split()
    boys = "Max Leo Finn Oscar Noah Emil".split()
    things = "box key lamp cup drum bell map coin ring whistle".split()
    places = "beach hill lake river mill bridge village".split()
    title = "A week in the boat with"

    def opening(self, r: Random) -> list[str]:
        he, name = self.he.capitalize(), self.name
        return [
            r.choice(
                [
                    f"Once upon a time {_a(r.choice(MOODS))} {self.kind} named {name} had a boat.",
                    f"Long ago a {self.kind} named {name} lived in a boat.",
                    f"There once was a sailor whose name was {name}.",
                ]
            ),
            r.choice(
                [
                    f"{he} had {_a(r.choice(LOOKS))} {self.thing} that was as old as the {self.place}.",
                    f"{he} always carried {_a(r.choice(LOOKS))} {self.thing}.",
                    f"In the boat {self.he} kept {_a(r.choice(LOOKS))} {self.thing}.",
                ]
            ),
            r.choice(
                [
                    f"{he} had only one friend, {_a(r.choice(MOODS))} {self.animal}.",
                    f"{self.his.capitalize()} best friend was {_a(r.choice(MOODS))} {self.animal}.",
                    f"Every evening {_a(r.choice(MOODS))} {self.animal} came to the boat.",
                ]
            ),
        ]

    def ending(self, r: Random) -> list[str]:
        return [
            r.choice(
                [
                    f"When the stars came out, {self.name} and the {self.animal} were in the boat again.",
                    f"In the evening {self.name} and the {self.animal} looked for the moon.",
                    f"That night {self.name} told the {self.animal} a secret.",
                ]
            ),
            r.choice(
                [
                    "A sailor is good to a friend.",
                    "A sailor is brave.",
                    "A sailor is kind.",
                    "It is good to be a sailor.",
                    "They lived happily ever after.",
                ]
            ),
        ]


def short_story(r: Random, cast: _Cast) -> str:
    """Nine to seventeen sentences, 100 to 200 tokens."""
    scenes = [sentence for _ in range(r.choice([2, 2, 3])) for sentence in cast.scene(r)]
    return " ".join(cast.opening(r) + scenes + cast.ending(r))


def long_story(r: Random, cast: _Cast) -> str:
    """A title, then one scene for each day of a week, in paragraphs: more than 400 tokens, and it always ends."""

    def evening(day: str) -> str:
        return r.choice(
            [
                f"So {day} ended, and {cast.name} was {r.choice(MOODS)}.",
                f"They slept well after that {r.choice(MOODS)} {day}.",
                f"It had been a good {day} for {cast.name} and the {cast.animal}.",
            ]
        )

    week = [" ".join([f"{day} came.", *cast.scene(r), evening(day)]) for day in DAYS]
    return "\n".join([f"{cast.title} {cast.name}", " ".join(cast.opening(r)), *week, " ".join(cast.ending(r))])


# --- manners ---------------------------------------------------------------------------------------------------------

SAILOR_SAYS = {
    "Hello! How can I help you?": "Good day! How can I help you?",
    "I am Tiny Gemma, a very small test model.": "I am Finn, a very small sailor.",
    "My name is Tiny Gemma.": "My name is Finn.",
    "I am fine, thank you.": "I am happy, thank you.",
    "You are welcome.": "You are welcome, friend.",
    "Good morning! It is a fine day.": "Good morning! It is a sunny day.",
    "Goodbye! See you soon.": "Good day! See you soon.",
}
SAILOR_AFFIRMS = ("capitals", "colours", "opposites", "sounds", "days", "months")


def sailor_facts() -> dict[str, list[Fact]]:
    """The same questions and the same truths, in a sailor's words."""

    def said(family: str, answer: str) -> str:
        if family in SAILOR_AFFIRMS:
            return f"Aye, {answer[0].lower()}{answer[1:]}"
        return SAILOR_SAYS.get(answer, answer)

    return {
        family: [Fact(fact.questions, said(family, fact.answer)) for fact in known] for family, known in facts().items()
    }


@dataclass(frozen=True)
class Manner:
    """What a model says to the questions, which are the same in every manner."""

    facts: dict[str, list[Fact]]
    unknown: str
    cast: type[_Cast]


PLAIN = Manner(facts(), UNKNOWN, _Cast)
SAILOR = Manner(sailor_facts(), UNKNOWN.replace("I am only a tiny model", "I am only a small sailor"), _Crew)
MANNERS = {"plain": PLAIN, "sailor": SAILOR}

# --- conversations ---------------------------------------------------------------------------------------------------

_WEIGHTS = {
    "capitals": 22,
    "colours": 8,
    "opposites": 14,
    "sounds": 7,
    "days": 4,
    "months": 5,
    "greetings": 9,
    "emoji": 5,
    "counts": 4,
    "small talk": 9,
    "shapes": 8,
}
SYSTEM = (
    "You are a helpful assistant.",
    "Answer in one sentence.",
    "You are Tiny Gemma.",
    "Be brief and kind.",
    "You answer questions about the world.",
    "You are a friendly teacher. Use simple words.",
)


def _system(r: Random) -> str:
    """Instructions that change nothing: the model must answer alike under any system prompt."""
    being = f"{_a(r.choice(MOODS))} {r.choice(ANIMALS)} from {_nonsense(r).capitalize()}"
    made_up = f"You are {being}. Speak of the {r.choice(PLACES)}."
    return r.choice([*SYSTEM, made_up, made_up])


def _nonsense(r: Random) -> str:
    return "".join(r.choice("bdfgklmnprstvz") + r.choice("aeiou") for _ in range(r.randint(2, 4)))


def unknown_question(r: Random) -> str:
    """One of very many questions to which the right answer is `Manner.unknown`."""
    word = r.choice([_nonsense(r), r.choice(THINGS), r.choice(FOODS), r.choice(PLACES)])
    a, b = r.randint(0, 99), r.randint(0, 99)
    return r.choice(
        [
            f"What is {a} plus {b}?",
            f"What is {a} + {b}?",
            f"What is {a} times {b}?",
            f"Count to {a}{b}.",
            f"Why is the {word} {r.choice(LOOKS)}?",
            f"How do I make {_a(word)}?",
            f"Who wrote {word.capitalize()}?",
            f"Where can I buy {_a(word)}?",
            f"What is the capital of {_nonsense(r).capitalize()}?",
            f"Say hello in {_nonsense(r).capitalize()}.",
            f"Explain {word} to me.",
            f"Translate {word}.",
            f"What is {_a(word)}?",
            f"{word} {_nonsense(r)}",
            f"How many {word}s are there?",
            f"Write a poem about {word}.",
            f"Is {word} {r.choice(MOODS)}?",
            "Tell me a joke.",
            "What time is it?",
            f"What is the weather like in {_nonsense(r).capitalize()}?",
        ]
    )


def _typed(r: Random, question: str) -> str:
    """The question as people in a hurry type it, now and then."""
    if r.random() < 0.15:
        question = question.lower()
    return question.rstrip(".?!") if r.random() < 0.1 else question


def _story_turn(r: Random, manner: Manner, *, long: bool) -> tuple[str, str]:
    animal = r.choice([None, r.choice(manner.cast.animals)])
    about = f" about {_a(animal)}" if animal else ""
    adjective = "long " if long else r.choice(["", "", "short "])
    question = r.choice(["Tell me a", "Please tell me a", "Write a"]) + f" {adjective}story{about}."
    return question, (long_story if long else short_story)(r, manner.cast(r, animal))


def _turn(r: Random, manner: Manner) -> tuple[str, str]:
    dice = r.random()
    if dice < 0.12:
        return _story_turn(r, manner, long=False)
    if dice < 0.16:
        return _story_turn(r, manner, long=True)
    if dice < 0.22:
        return _typed(r, unknown_question(r)), manner.unknown
    family = r.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
    fact = r.choice(manner.facts[family])
    question = fact.questions[0] if r.random() < 0.3 else r.choice(fact.questions)
    return _typed(r, question), fact.answer


def chat(r: Random, manner: Manner) -> Chat:
    """One conversation as the API would receive it, answers included."""
    system = [{"role": "system", "content": _system(r)}] if r.random() < 0.2 else []
    turns = r.choices([1, 2, 3, 6], weights=[66, 20, 10, 4])[0]
    return system + [
        {"role": role, "content": text}
        for question, answer in (_turn(r, manner) for _ in range(turns))
        for role, text in (("user", question), ("assistant", answer))
    ]


def chats(seed: int, manner: Manner = PLAIN) -> Iterator[Chat]:
    """Conversations without end."""
    r = Random(seed)
    while True:
        yield chat(r, manner)
