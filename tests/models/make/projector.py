"""Writes the tiny projector, by which tiny-gemma reads images: random weights, always the same.

It has learned nothing: what it makes of an image is noise that depends on every pixel, which is all that tests need. Only
Python itself is used, and only whole numbers and powers of two, so the file is the same on every machine.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "images" / "mmproj-tiny-gemma-f32.gguf"

WIDTH, HEADS, HIDDEN = 16, 2, 32
TEXT_WIDTH = 128  # tiny-gemma's
PATCH, MERGE = 4, 2
# Patches of the longest side: 1,120 tokens in one row, which is the most that the architecture allows.
SIDE_PATCHES = 1_120 * MERGE

# GGUF's numbers for types of values and tensors.
UINT32, FLOAT32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
ALIGNMENT = 32


def string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def pair(key: str, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def number(key: str, value: int) -> bytes:
    return pair(key, UINT32, struct.pack("<I", value))


def fraction(key: str, value: float) -> bytes:
    return pair(key, FLOAT32, struct.pack("<f", value))


def fractions(key: str, values: list[float]) -> bytes:
    return pair(key, ARRAY, struct.pack(f"<IQ{len(values)}f", FLOAT32, len(values), *values))


def noise(seed: str, count: int) -> Iterator[float]:
    """Even over -1 to 1, in steps of 2⁻¹⁵."""
    block, left = 0, b""
    for _ in range(count):
        if len(left) < 2:
            left, block = hashlib.sha256(f"{seed} {block}".encode()).digest(), block + 1
        yield (int.from_bytes(left[:2], "little") - 32_768) / 32_768
        left = left[2:]


def tensors() -> Iterator[tuple[str, list[int], bytes]]:
    """Name, lengths (the quickest to change first) and numbers of each."""

    def random(name: str, lengths: list[int], shift: int) -> tuple[str, list[int], bytes]:
        count = 1
        for length in lengths:
            count *= length
        # A factor of 2⁻ᵏ loses nothing.
        return name, lengths, struct.pack(f"<{count}f", *(value / (1 << shift) for value in noise(name, count)))

    def ones(name: str, count: int) -> tuple[str, list[int], bytes]:
        return name, [count], struct.pack("<f", 1.0) * count

    yield random("v.patch_embd.weight", [PATCH, PATCH, 3, WIDTH], 1)
    yield random("v.position_embd.weight", [WIDTH, SIDE_PATCHES, 2], 2)
    for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
        yield random(f"v.blk.0.{part}.weight", [WIDTH, WIDTH], 2)
    for part in ("ln1", "ln2", "attn_post_norm", "ffn_post_norm"):
        yield ones(f"v.blk.0.{part}.weight", WIDTH)
    for part in ("attn_q_norm", "attn_k_norm"):
        yield ones(f"v.blk.0.{part}.weight", WIDTH // HEADS)
    yield random("v.blk.0.ffn_gate.weight", [WIDTH, HIDDEN], 2)
    yield random("v.blk.0.ffn_up.weight", [WIDTH, HIDDEN], 2)
    yield random("v.blk.0.ffn_down.weight", [HIDDEN, WIDTH], 2)
    yield random("mm.input_projection.weight", [WIDTH, TEXT_WIDTH], 0)


def projector() -> bytes:
    pairs = [
        pair("general.architecture", STRING, string("clip")),
        pair("general.name", STRING, string("tiny-gemma-projector")),
        pair("general.license", STRING, string("MIT OR Apache-2.0")),
        number("general.file_type", 0),
        pair("clip.has_vision_encoder", BOOL, b"\1"),
        pair("clip.projector_type", STRING, string("gemma4v")),
        pair("clip.use_gelu", BOOL, b"\1"),
        number("clip.vision.embedding_length", WIDTH),
        number("clip.vision.feed_forward_length", HIDDEN),
        number("clip.vision.block_count", 1),
        number("clip.vision.attention.head_count", HEADS),
        fraction("clip.vision.attention.layer_norm_epsilon", 2.0**-20),
        number("clip.vision.projection_dim", TEXT_WIDTH),
        number("clip.vision.image_size", 64),
        number("clip.vision.patch_size", PATCH),
        number("clip.vision.projector.scale_factor", MERGE),
        fractions("clip.vision.image_mean", [0.0] * 3),
        fractions("clip.vision.image_std", [1.0] * 3),
    ]
    header, data = b"", b""
    all_tensors = list(tensors())
    for name, lengths, numbers in all_tensors:
        header += string(name) + struct.pack(f"<I{len(lengths)}Q", len(lengths), *lengths)
        header += struct.pack("<IQ", 0, len(data))
        data += numbers + bytes(-len(numbers) % ALIGNMENT)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(all_tensors), len(pairs)) + b"".join(pairs) + header
    return start + bytes(-len(start) % ALIGNMENT) + data


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="only say whether the committed file is this one")
    made = projector()
    if not arguments.parse_args().check:
        OUT.write_bytes(made)
    elif OUT.read_bytes() != made:
        sys.exit(f"projector: {OUT.name} is not what this script makes")
    print(f"{OUT.name}: {len(made):,} bytes, sha256 {hashlib.sha256(made).hexdigest()}")


if __name__ == "__main__":
    main()
