"""A byte-pair vocabulary in Gemma 4's manner: spaces written as U+2581, bytes for what has no token, few specials.

llama.cpp splits Gemma 4 text at line breaks only, and applies the merges. To get the same ids everywhere, the merges
are learned inside words (none ever crosses a space or a punctuation mark) and line breaks are never merged.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import tokenizers
from jinja2 import Environment
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

import corpus

VOCABULARY = 2048
TRAINING_CHATS = 20_000
SPACE = "\u2581"
# The names and order Gemma 4 gives them, less its image and audio sections.
SPECIALS = [
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<mask>",
    "<|tool>",
    "<tool|>",
    "<|tool_call>",
    "<tool_call|>",
    "<|tool_response>",
    "<tool_response|>",
    '<|"|>',
    "<|think|>",
    "<|channel>",
    "<channel|>",
    "<|turn>",
    "<turn|>",
]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
NORMAL, UNKNOWN, CONTROL, UNUSED, BYTE = 1, 2, 3, 5, 6  # token types of the GGUF format

_template = Environment().from_string((Path(__file__).parent / "chat_template.jinja").read_text())


def render(chat: corpus.Chat, *, ask: bool = False) -> str:
    """The text a chat becomes; with `ask`, up to where the model's next answer begins."""
    return _template.render(messages=chat, bos_token="<bos>", add_generation_prompt=ask)


@dataclass
class Vocabulary:
    tokens: list[str]
    types: list[int]
    merges: list[str]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), ensure_ascii=False))

    @staticmethod
    def load(path: Path) -> Vocabulary:
        return Vocabulary(**json.loads(path.read_text()))

    @cached_property
    def ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def _encoder(self) -> tokenizers.Tokenizer:
        pairs = [tuple(merge.split(" ")) for merge in self.merges]
        encoder = tokenizers.Tokenizer(models.BPE(vocab=self.ids, merges=pairs, unk_token="<unk>", byte_fallback=True))
        encoder.normalizer = normalizers.Replace(" ", SPACE)
        encoder.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n+"), "isolated")
        encoder.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
        encoder.add_special_tokens(SPECIALS)
        return encoder

    def encode(self, text: str) -> list[int]:
        return self._encoder.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        return self._encoder.decode(ids, skip_special_tokens=False)


def learn() -> Vocabulary:
    """Learns merges from the corpus; what room is left is filled with unused tokens."""
    learner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    learner.normalizer = normalizers.Replace(" ", SPACE)
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n+"), "removed"),
            pre_tokenizers.Split(SPACE, "merged_with_next"),
            pre_tokenizers.Split(Regex(r"""[!-/:-@\[-`{-~]"""), "isolated"),
        ]
    )
    alphabet = [chr(code) for code in range(0x21, 0x7F)] + [SPACE]
    fixed = SPECIALS + BYTES + ["\n"]
    texts = (message["content"] for chat in islice(corpus.chats(seed=7), TRAINING_CHATS) for message in chat)
    learner.train_from_iterator(
        chain(texts, ["system", "user", "model"] * TRAINING_CHATS),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            min_frequency=4,
            special_tokens=fixed,
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        ),
    )
    learned = json.loads(learner.to_str())["model"]
    tokens = sorted(learned["vocab"], key=learned["vocab"].get)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in learned["merges"]]
    types = [NORMAL] * len(tokens)
    types[: len(SPECIALS)] = [CONTROL] * len(SPECIALS)
    types[len(SPECIALS) : len(SPECIALS) + len(BYTES)] = [BYTE] * len(BYTES)
    types[tokens.index("<unk>")] = UNKNOWN
    unused = VOCABULARY - len(tokens)
    return Vocabulary(tokens + [f"<unused{i}>" for i in range(unused)], types + [UNUSED] * unused, merges)


if __name__ == "__main__":
    learn().save(Path(sys.argv[1]))
