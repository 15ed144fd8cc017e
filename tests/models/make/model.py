"""The Gemma 4 text network (dense, without per-layer embeddings) in JAX, as llama.cpp computes it.

Weights are a flat mapping from GGUF tensor name to array; linear weights are [outputs, inputs].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

Weights = dict[str, jax.Array | np.ndarray]


@dataclass(frozen=True)
class Shape:
    """Sizes of one network. `full` names the layers that see the whole context; the others see `window` tokens."""

    name: str
    width: int
    layers: int
    heads: int
    hidden: int
    full: tuple[int, ...]
    vocabulary: int = 2048
    head_width: int = 64
    key_value_heads: int = 1
    window: int = 64
    context: int = 4096
    rope_base_full: float = 1e6
    rope_base_window: float = 1e4
    rope_part_full: float = 0.25  # of a head's width, in full layers
    softcap: float = 30.0
    epsilon: float = 1e-6

    def rope_divisors(self) -> np.ndarray:
        """What full layers divide their rotation frequencies by: a huge number switches a pair off."""
        pairs = self.head_width // 2
        rotated = int(pairs * self.rope_part_full)
        return np.array([1.0] * rotated + [1e30] * (pairs - rotated), np.float32)


TINY = Shape(name="tiny-gemma", width=128, layers=6, heads=2, hidden=384, full=(2, 5))
DRAFT = Shape(name="draft-gemma", width=64, layers=2, heads=1, hidden=192, full=(1,))
TUNED = replace(TINY, name="tuned-gemma")
SHAPES = {shape.name: shape for shape in (TINY, DRAFT, TUNED)}


def initial(shape: Shape, seed: int) -> Weights:
    dice = np.random.default_rng(seed)

    def linear(outputs: int, inputs: int) -> np.ndarray:
        return (dice.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(np.float32)

    def gain(size: int, value: float = 1.0) -> np.ndarray:
        return np.full(size, value, np.float32)

    queries, keys = shape.heads * shape.head_width, shape.key_value_heads * shape.head_width
    weights: Weights = {
        "token_embd.weight": (dice.standard_normal((shape.vocabulary, shape.width)) * 0.03).astype(np.float32),
        "output_norm.weight": gain(shape.width),
    }
    for layer in range(shape.layers):
        block = {
            "attn_norm": gain(shape.width),
            "attn_q": linear(queries, shape.width),
            "attn_k": linear(keys, shape.width),
            "attn_v": linear(keys, shape.width),
            # Scores are not divided by the head's width: small gains keep attention soft, so that it can learn.
            "attn_q_norm": gain(shape.head_width, 0.35),
            "attn_k_norm": gain(shape.head_width, 0.35),
            "attn_output": linear(shape.width, queries),
            "post_attention_norm": gain(shape.width, 0.3),
            "ffn_norm": gain(shape.width),
            "ffn_gate": linear(shape.hidden, shape.width),
            "ffn_up": linear(shape.hidden, shape.width),
            "ffn_down": linear(shape.width, shape.hidden),
            "post_ffw_norm": gain(shape.width, 0.3),
            "layer_output_scale": gain(1),
        }
        weights |= {f"blk.{layer}.{name}.weight": array for name, array in block.items()}
    return weights


def logits(weights: Weights, ids: jax.Array, shape: Shape, segments: jax.Array | None = None) -> jax.Array:
    """[rows, length] token ids to [rows, length, vocabulary] scores; tokens see only their own segment."""
    length = ids.shape[1]
    distance = np.arange(length)[:, None] - np.arange(length)[None, :]
    seen = jnp.asarray(distance >= 0)[None]
    if segments is not None:
        seen = seen & (segments[:, :, None] == segments[:, None, :])
    masks = {True: seen, False: seen & (distance < shape.window)}
    turns = {full: _rotations(shape, length, full) for full in (True, False)}

    x = weights["token_embd.weight"][ids] * np.float32(np.sqrt(shape.width))
    for layer in range(shape.layers):
        full = layer in shape.full
        block = {name: weights[f"blk.{layer}.{name}.weight"] for name in _BLOCK}
        x = x + _normal(
            _attention(block, _normal(x, block["attn_norm"], shape), shape, masks[full], turns[full]),
            block["post_attention_norm"],
            shape,
        )
        x = x + _normal(_feed_forward(block, _normal(x, block["ffn_norm"], shape)), block["post_ffw_norm"], shape)
        x = x * block["layer_output_scale"]
    scores = _normal(x, weights["output_norm.weight"], shape) @ weights["token_embd.weight"].T
    return shape.softcap * jnp.tanh(scores / shape.softcap)


_BLOCK = (
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_q_norm",
    "attn_k_norm",
    "attn_output",
    "post_attention_norm",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "post_ffw_norm",
    "layer_output_scale",
)


def _normal(x, gain, shape: Shape):
    x = x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + shape.epsilon)
    return x if gain is None else x * gain


def _rotations(shape: Shape, length: int, full: bool):
    pairs = np.arange(0, shape.head_width, 2) / shape.head_width
    speed = shape.rope_base_full**-pairs / shape.rope_divisors() if full else shape.rope_base_window**-pairs
    angle = np.arange(length)[:, None, None] * speed
    return jnp.asarray(np.cos(angle), jnp.float32), jnp.asarray(np.sin(angle), jnp.float32)


def _rotate(x, rotations):
    cos, sin = rotations
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def _attention(block, x, shape: Shape, mask, rotations):
    rows, length, _ = x.shape

    def heads(name: str, count: int):
        return (x @ block[name].T).reshape(rows, length, count, shape.head_width)

    groups = shape.heads // shape.key_value_heads
    query = _rotate(_normal(heads("attn_q", shape.heads), block["attn_q_norm"], shape), rotations)
    key = _rotate(_normal(heads("attn_k", shape.key_value_heads), block["attn_k_norm"], shape), rotations)
    value = _normal(heads("attn_v", shape.key_value_heads), None, shape)
    query = query.reshape(rows, length, shape.key_value_heads, groups, shape.head_width)
    scores = jnp.where(mask[:, None, None], jnp.einsum("btkgh,bskh->bkgts", query, key), -1e30)
    mixed = jnp.einsum("bkgts,bskh->btkgh", jax.nn.softmax(scores, -1), value)
    return mixed.reshape(rows, length, -1) @ block["attn_output"].T


def _feed_forward(block, x):
    return (jax.nn.gelu(x @ block["ffn_gate"].T, approximate=True) * (x @ block["ffn_up"].T)) @ block["ffn_down"].T
