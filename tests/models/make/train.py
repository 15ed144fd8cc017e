"""Trains one network: packed whole conversations, AdamW, short rows first and long rows at the end.

It starts from nothing, or (a fine-tune) from the weights of a GGUF file. The number of steps is fixed, so the same
machine makes the same weights again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from gguf import GGUFReader

import corpus
from export import weights_of
from model import SHAPES, Shape, Weights, initial, logits
from tokenizer import Vocabulary, render

POOL = 192  # conversations kept ready, so that one can be found that fills a row
PROMPT_WEIGHT = 0.1  # how much a token counts that the model need not write
WARM_UP, DECAY, CLIP = 60, 0.05, 1.0
BETA_1, BETA_2 = 0.9, 0.98


@dataclass(frozen=True)
class Stage:
    length: int
    rows: int


SHORT, LONG = Stage(length=256, rows=10), Stage(length=512, rows=5)
LONG_FROM = 0.75  # of all steps
FLAT_UNTIL = 0.4  # then the learning rate falls in a line, to 1 % of its height


def answered(vocabulary: Vocabulary, ids: list[int]) -> np.ndarray:
    """1 for tokens the model has to write (its answers, and the end of each turn), else `PROMPT_WEIGHT`."""
    begin, end, model = vocabulary.ids["<|turn>"], vocabulary.ids["<turn|>"], vocabulary.ids["model"]
    weights, own = np.full(len(ids), PROMPT_WEIGHT, np.float32), False
    for i, token in enumerate(ids):
        if own and not (ids[i - 1] == model and ids[i - 2] == begin):  # the line break after the role is given
            weights[i] = 1.0
        if token == model and ids[i - 1] == begin:
            own = True
        elif token == end:
            own = False
    return weights


def batches(
    vocabulary: Vocabulary, stage: Stage, seed: int, manner: corpus.Manner
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows of `length + 1` ids with the segment and the weight of each; no conversation is cut."""
    chats = corpus.chats(seed, manner)
    pool: list[list[int]] = []
    while True:
        shape = (stage.rows, stage.length + 1)
        ids, segments, weights = np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        for row in range(stage.rows):
            at, segment = 0, 1
            while True:
                while len(pool) < POOL:
                    chat = vocabulary.encode(render(next(chats)))
                    if len(chat) <= stage.length + 1:
                        pool.append(chat)
                # the oldest first, so that long ones get their turn; then the longest that still fits
                fits = [0] if at == 0 else [i for i, chat in enumerate(pool) if len(chat) <= stage.length + 1 - at]
                if not fits:
                    break
                chat = pool.pop(max(fits, key=lambda i: len(pool[i])))
                here = np.s_[row, at : at + len(chat)]
                ids[here], segments[here], weights[here] = chat, segment, answered(vocabulary, chat)
                weights[row, at] = 0.0
                at, segment = at + len(chat), segment + 1
        yield ids, segments, weights


def loss(weights: Weights, batch, shape: Shape) -> jax.Array:
    ids, segments, counts = batch
    scores = logits(weights, ids[:, :-1], shape, segments[:, :-1])
    surprise = jax.nn.logsumexp(scores, -1) - jnp.take_along_axis(scores, ids[:, 1:, None], -1)[..., 0]
    return jnp.sum(surprise * counts[:, 1:]) / jnp.sum(counts[:, 1:])


@partial(jax.jit, static_argnames="shape", donate_argnums=(0, 1, 2))
def step(weights, mean, square, batch, number, rate, shape: Shape):
    value, gradient = jax.value_and_grad(loss)(weights, batch, shape)
    size = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradient)))
    gradient = jax.tree.map(lambda g: g * jnp.minimum(1.0, CLIP / (size + 1e-6)), gradient)
    mean = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, mean, gradient)
    square = jax.tree.map(lambda s, g: BETA_2 * s + (1 - BETA_2) * g * g, square, gradient)

    def moved(w, m, s):
        change = m / (1 - BETA_1**number) / (jnp.sqrt(s / (1 - BETA_2**number)) + 1e-8)
        return w - rate * (change + DECAY * w if w.ndim == 2 else change)

    return jax.tree.map(moved, weights, mean, square), mean, square, value


def train(
    shape: Shape, vocabulary: Vocabulary, start: Weights, manner: corpus.Manner, steps: int, peak_rate: float
) -> Weights:
    weights = {name: jnp.asarray(array) for name, array in start.items()}
    mean, square = (jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
    sources = {stage: batches(vocabulary, stage, seed, manner) for seed, stage in ((100, SHORT), (200, LONG))}
    shown, began = None, time.process_time()
    for number in range(steps):
        part = number / steps
        stage = LONG if part >= LONG_FROM else SHORT
        rate = peak_rate * min(1.0, (number + 1) / WARM_UP) * max(0.01, min(1.0, (1 - part) / (1 - FLAT_UNTIL)))
        weights, mean, square, value = step(
            weights, mean, square, next(sources[stage]), jnp.float32(number + 1), jnp.float32(rate), shape
        )
        shown = float(value) if shown is None else 0.97 * shown + 0.03 * float(value)
        if number % 50 == 49:
            spent = time.process_time() - began
            print(f"{shape.name}: step {number + 1} of {steps}, loss {shown:.4f}, {spent:.0f} CPU s", flush=True)
    return {name: np.asarray(array) for name, array in weights.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", choices=SHAPES)
    arguments.add_argument("--vocabulary", type=Path, required=True)
    arguments.add_argument("--steps", type=int, required=True)
    arguments.add_argument("--rate", type=float, default=4e-3)
    arguments.add_argument("--start", type=Path, help="GGUF file of the same shape and vocabulary, to be tuned")
    arguments.add_argument("--manner", choices=corpus.MANNERS, default="plain")
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    shape, vocabulary = SHAPES[given.model], Vocabulary.load(given.vocabulary)
    start = weights_of(GGUFReader(given.start)) if given.start else initial(shape, seed=1)
    np.savez(given.out, **train(shape, vocabulary, start, corpus.MANNERS[given.manner], given.steps, given.rate))


if __name__ == "__main__":
    main()
