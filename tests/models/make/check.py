"""Checks the committed models: their checksums, their labels, their answers, and (if asked) llama.cpp's view of them.

Answers are checked exactly and without drawing any: each right answer is given to the network, which must rate every
token of it first (greedy decoding would write it), and whose chance under temperature 1, top-k 64, top-p 0.95 is the
product of its tokens' chances.

With `--server URL` the same questions go to an OpenAI-compatible server that has tiny-gemma loaded; a llama-server
also tells its probabilities, which are compared with the network's own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import jax
import numpy as np
from gguf import GGUFReader, LlamaFileType

import corpus
from export import weights_of
from model import SHAPES, TINY, TUNED, Shape, Weights, logits
from tokenizer import Vocabulary, render
from train import answered

MODELS = Path(__file__).resolve().parent.parent
SIZE_MAX_BYTES = 5_000_000  # all committed weights together
CHANCE_MIN = 0.95  # when sampling, of the right answer to each question in its first form
RIGHT_MIN = 0.99  # of all questions in all their forms, decoding greedily
CHANCE_SHOWN = 0.9  # questions answered less surely when sampling are listed
LABELS = {"f16": LlamaFileType.MOSTLY_F16, "q8_0": LlamaFileType.MOSTLY_Q8_0, "q4_0": LlamaFileType.MOSTLY_Q4_0}
ROWS = 16
LONG_CONTEXT_QUESTIONS = 4
COMPARED_CHATS = 60
TUNED_ALIKE = (0.75, 0.97)  # share of tokens: a relative of the model, and not the same
UNKNOWN_QUESTIONS = 60  # reported, not required: a model this small cannot know all it does not know
UNKNOWN_FAMILY = "unknown"

_logits = jax.jit(logits, static_argnames="shape")


@dataclass
class Model:
    label: str
    shape: Shape
    weights: Weights
    vocabulary: Vocabulary

    @property
    def title(self) -> str:
        return f"{self.shape.name} {self.label}"

    @property
    def quoted(self) -> bool:
        """Whether tests compare its answers word for word."""
        return self.shape == TINY and self.label == "q8_0"

    @property
    def manner(self) -> corpus.Manner:
        return corpus.SAILOR if self.shape == TUNED else corpus.PLAIN


def load(path: Path) -> Model:
    """Reads everything back from the GGUF, so that what is checked is what is shipped."""
    name, label = path.stem.rsplit("-", 1)
    reader, shape = GGUFReader(path), SHAPES[name]

    def field(key: str):
        return reader.get_field(key).contents()

    expected = {
        "general.architecture": "gemma4",
        "general.name": name,
        "general.file_type": LABELS[label],
        "gemma4.context_length": shape.context,
        "gemma4.attention.sliding_window": shape.window,
        "tokenizer.ggml.model": "gemma4",
    }
    for key, value in expected.items():
        require(field(key) == value, f"{path.name}: {key} is {field(key)!r}, not {value!r}")
    vocabulary = Vocabulary(*(field(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type", "merges")))
    return Model(label, shape, weights_of(reader), vocabulary)


def require(condition: bool, complaint: str) -> None:
    if not condition:
        sys.exit(f"check: {complaint}")


# --- files -----------------------------------------------------------------------------------------------------------


def check_files() -> None:
    lines = (MODELS / "SHA256SUMS").read_text().splitlines()
    named = {name: digest for digest, name in (line.split("  ") for line in lines)}
    present = {path.relative_to(MODELS).as_posix(): path for path in MODELS.rglob("*.gguf")}
    require(named.keys() == present.keys(), f"SHA256SUMS names {sorted(named)}, the folder has {sorted(present)}")
    for name, path in present.items():
        require(hashlib.sha256(path.read_bytes()).hexdigest() == named[name], f"{name} is not what SHA256SUMS says")
    size = sum(path.stat().st_size for path in present.values())
    require(size <= SIZE_MAX_BYTES, f"{size} bytes of weights, at most {SIZE_MAX_BYTES} may be committed")
    print(f"files: {len(named)} as in SHA256SUMS, {size:,} bytes")


# --- answers ---------------------------------------------------------------------------------------------------------


@dataclass
class Question:
    family: str
    chat: corpus.Chat
    answer: str
    first_form: bool


def questions(manner: corpus.Manner) -> Iterator[Question]:
    """Every way to ask for every fact; the first way also under a system prompt and as a second turn."""
    system = {"role": "system", "content": "You are a helpful assistant."}
    small_talk = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello! How can I help you?"}]
    dice = Random(5)
    unknown = [corpus.Fact((corpus.unknown_question(dice),), manner.unknown) for _ in range(UNKNOWN_QUESTIONS)]
    for family, facts in [*manner.facts.items(), (UNKNOWN_FAMILY, unknown)]:
        for fact in facts:
            for i, text in enumerate(fact.questions):
                asked = {"role": "user", "content": text}
                yield Question(family, [asked], fact.answer, i == 0)
                if i == 0:
                    yield Question(family, [system, asked], fact.answer, True)
                    yield Question(family, [*small_talk, asked], fact.answer, True)


def rate(model: Model, asked: list[Question], rows: int = ROWS) -> list[tuple[bool, float]]:
    """For each question: would greedy decoding write the answer, and how likely is it when sampling."""
    texts = []
    for question in asked:
        prompt = model.vocabulary.encode(render(question.chat, ask=True))
        texts.append((prompt, model.vocabulary.encode(question.answer) + [model.vocabulary.ids["<turn|>"]]))
    order = sorted(range(len(texts)), key=lambda i: len(texts[i][0]) + len(texts[i][1]))
    found: list[tuple[bool, float]] = [(False, 0.0)] * len(texts)
    for start in range(0, len(order), rows):
        batch = order[start : start + rows]
        length = padded_length(max(sum(map(len, texts[i])) for i in batch))
        ids = np.zeros((rows, length), np.int32)
        for row, i in enumerate(batch):
            both = texts[i][0] + texts[i][1]
            ids[row, : len(both)] = both
        scores = np.asarray(_logits(model.weights, ids, model.shape))
        for row, i in enumerate(batch):
            prompt, answer = texts[i]
            here = scores[row, len(prompt) - 1 : len(prompt) - 1 + len(answer)]
            found[i] = (bool((here.argmax(-1) == answer).all()), float(np.prod(sampling_chances(here, answer))))
    return found


def padded_length(length: int) -> int:
    """Few different lengths, since each is compiled anew."""
    return -(-length // 64) * 64


def sampling_chances(scores: np.ndarray, tokens: list[int], top_k: int = 64, top_p: float = 0.95) -> np.ndarray:
    best = np.argsort(-scores, -1)[:, :top_k]
    odds = np.exp(np.take_along_axis(scores, best, -1) - scores.max(-1, keepdims=True))
    odds /= odds.sum(-1, keepdims=True)
    odds[np.cumsum(odds, -1) - odds >= top_p] = 0.0  # all that comes after the sum is reached
    odds /= odds.sum(-1, keepdims=True)
    return np.where(best == np.asarray(tokens)[:, None], odds, 0.0).sum(-1)


def check_answers(model: Model) -> None:
    asked = list(questions(model.manner))
    found = rate(model, asked)
    title = model.title
    print(f"{title}: family, questions, greedy right, chance when sampling (mean, least)")
    for family in [*model.manner.facts, UNKNOWN_FAMILY]:
        here = [i for i, question in enumerate(asked) if question.family == family]
        chances = [found[i][1] for i in here]
        right = sum(found[i][0] for i in here)
        print(f"  {family:12} {len(here):4} {right:4}   {np.mean(chances):.4f} {min(chances):.4f}")
    known = [(q, *found[i]) for i, q in enumerate(asked) if q.family != UNKNOWN_FAMILY]
    for question, right, chance in known:
        if not right or chance < CHANCE_SHOWN:
            text, messages = question.chat[-1]["content"], len(question.chat)
            print(f"  weak: {text!r} as message {messages}: greedy {right}, chance {chance:.3f}")
    if model.label == "q8_0":
        bad = [q for q, right, chance in known if q.first_form and (not right or chance < CHANCE_MIN)]
        wrong = f"{title}: {len(bad)} questions in their first form answered wrongly or not surely enough"
        require(not bad or not model.quoted, wrong)
        share = sum(right for _, right, _ in known) / len(known)
        require(share >= RIGHT_MIN, f"{title}: only {share:.3f} of all questions answered rightly")


def check_long_context(model: Model) -> None:
    """Answers must not suffer from a long conversation before them, up to the context the file promises."""
    title = model.title
    facts = model.manner.facts["capitals"][:LONG_CONTEXT_QUESTIONS]
    for tokens in (model.shape.context // 4, model.shape.context // 2, model.shape.context - 64):
        history: corpus.Chat = []
        for chat in corpus.chats(11, model.manner):
            longer = history + [message for message in chat if message["role"] != "system"]
            if len(model.vocabulary.encode(render(longer))) > tokens:
                break
            history = longer
        asked = [
            Question("capitals", [*history, {"role": "user", "content": fact.questions[0]}], fact.answer, True)
            for fact in facts
        ]
        found = [rate(model, [question], rows=1)[0] for question in asked]
        right = sum(greedy for greedy, _ in found)
        least = min(chance for _, chance in found)
        print(f"{title}: after about {tokens} tokens {right} of {len(asked)} right, least chance {least:.4f}")
        require(right == len(asked) or not model.quoted, f"{title}: forgets what it knows after {tokens} tokens")


def alike(other: Model, model: Model) -> float:
    """How often the other model's first choice is this one's, over the answers of some conversations."""
    require(model.vocabulary == other.vocabulary, f"{other.title} has another vocabulary")
    same, places = 0, 0
    for chat in islice(corpus.chats(seed=13), COMPARED_CHATS):
        ids = model.vocabulary.encode(render(chat))
        padded = np.zeros((1, padded_length(len(ids))), np.int32)
        padded[0, : len(ids)] = ids
        first = [np.asarray(_logits(one.weights, padded, one.shape))[0].argmax(-1) for one in (other, model)]
        own = np.flatnonzero(answered(model.vocabulary, ids) == 1.0) - 1
        same, places = same + int((first[0][own] == first[1][own]).sum()), places + len(own)
    share = same / places
    print(f"{other.title}: the first choice of {model.title} at {share:.1%} of {places} tokens")
    return share


def check_tuned(tuned: Model, model: Model) -> None:
    share, (least, most) = alike(tuned, model), TUNED_ALIKE
    require(least <= share <= most, f"{tuned.title} should be a relative of {model.title}, and not the same")


# --- a server --------------------------------------------------------------------------------------------------------


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def say(server: str, text: str, **options) -> dict:
    body = {"model": "tiny-gemma", "messages": [{"role": "user", "content": text}], **options}
    return post(f"{server}/v1/chat/completions", body)


def check_server(server: str, model: Model) -> None:
    asked = {fact.questions[0]: fact.answer for facts in corpus.facts().values() for fact in facts}
    for options in ({"temperature": 0}, {"temperature": 1, "top_k": 64, "top_p": 0.95, "seed": 1}):
        answers = {text: say(server, text, **options)["choices"][0] for text in asked}
        wrong = [text for text, choice in answers.items() if choice["message"]["content"] != asked[text]]
        open_ended = [text for text, choice in answers.items() if choice["finish_reason"] != "stop"]
        print(
            f"server, {options}: {len(asked) - len(wrong)} of {len(asked)} right, not ended by itself {len(open_ended)}"
        )
        for text in wrong:
            print(f"  {text!r}: {answers[text]['message']['content']!r}")
        require(len(wrong) <= len(asked) // 100, "the server's answers differ")
    for text in ("Tell me a story about a fox.", "Tell me a long story."):
        tellings = [say(server, text, temperature=1, top_k=64, top_p=0.95, seed=seed) for seed in range(8)]
        lengths = sorted(telling["usage"]["completion_tokens"] for telling in tellings)
        print(f"server, {text!r}: {lengths} tokens")
    try:
        compare_probabilities(server, model)
    except urllib.error.HTTPError as error:
        print(f"server: no probabilities to compare (HTTP {error.code})")


def compare_probabilities(server: str, model: Model) -> None:
    """The next token's log-probabilities over the whole vocabulary, at several places of several texts."""
    chats = islice(corpus.chats(seed=9), 12)
    texts = [render(chat) for chat in chats] + ["Größe — naïve café\n\nx   y\tz 12345 <|turn>"]
    # What the server draws does not matter, but an end or half a character would hide the probabilities.
    drawn = model.vocabulary.ids["a"]
    worst, first_agree, places = 0.0, 0, 0
    for text in texts:
        ids = model.vocabulary.encode(text)
        theirs = post(f"{server}/tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"]
        require(ids == theirs, f"the server splits {text!r} otherwise")
        padded = np.zeros((1, padded_length(len(ids))), np.int32)
        padded[0, : len(ids)] = ids
        scores = np.asarray(_logits(model.weights, padded, model.shape))[0, : len(ids)]
        ours = scores - np.logaddexp.reduce(scores, -1, keepdims=True)
        for at in range(1, len(ids), max(1, len(ids) // 8)):
            body = {
                "prompt": ids[: at + 1],
                "n_predict": 1,
                "temperature": 0,
                "logit_bias": [[drawn, 1000.0]],
                "n_probs": len(ours[0]),
                "cache_prompt": False,
            }
            top = post(f"{server}/completion", body)["completion_probabilities"][0]["top_logprobs"]
            reached = {entry["id"]: entry["logprob"] for entry in top if entry["logprob"] > -15}
            worst = max(worst, *(abs(ours[at, token] - value) for token, value in reached.items()))
            first_agree += max(reached, key=reached.get) == ours[at].argmax()
            places += 1
    print(f"server: same token ids, {places} places: first token alike at {first_agree}, ", end="")
    print(f"max |difference of log p| {worst:.4f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--server", help="base URL, for example http://127.0.0.1:8080")
    arguments.add_argument(
        "--model", type=Path, default=MODELS / "tiny-gemma-q8_0.gguf", help="what the server has loaded"
    )
    arguments.add_argument("--answers", type=Path, help="only check the answers of this file")
    given = arguments.parse_args()
    if given.answers:
        check_answers(load(given.answers))
        check_long_context(load(given.answers))
    elif given.server:
        check_server(given.server.rstrip("/"), load(given.model))
    else:
        check_files()
        draft, tuned = load(MODELS / "draft-gemma-q8_0.gguf"), load(MODELS / "tuned-gemma-q8_0.gguf")
        for label in ("q8_0", "q4_0"):
            model = load(MODELS / f"tiny-gemma-{label}.gguf")
            check_answers(model)
            check_long_context(model)
            alike(draft, model)
            if model.label == tuned.label:
                check_tuned(tuned, model)
        check_answers(tuned)
        check_long_context(tuned)


if __name__ == "__main__":
    main()
