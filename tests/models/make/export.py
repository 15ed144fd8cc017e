"""Writes trained weights as GGUF files: f16, q8_0, q4_0, each labelled with what it is; and reads them back."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader, GGUFWriter, LlamaFileType
from gguf.quants import dequantize, quantize

from model import SHAPES, Shape, Weights
from tokenizer import Vocabulary

DIVISORS = "rope_freqs.weight"  # follows from the shape: nothing that is trained
TEMPLATE = Path(__file__).parent / "chat_template.jinja"
# As llama-quantize does it: in q4_0 the table shared by input and output keeps eight bits, being the most sensitive.
FORMATS = {
    "f16": (LlamaFileType.MOSTLY_F16, Kind.F16, Kind.F16),
    "q8_0": (LlamaFileType.MOSTLY_Q8_0, Kind.Q8_0, Kind.Q8_0),
    "q4_0": (LlamaFileType.MOSTLY_Q4_0, Kind.Q4_0, Kind.Q8_0),
}


def export(path: Path, shape: Shape, weights: Weights, vocabulary: Vocabulary, form: str) -> None:
    file_type, matrix_kind, table_kind = FORMATS[form]
    writer = GGUFWriter(path, "gemma4")
    _describe(writer, shape, weights)
    writer.add_file_type(file_type)
    writer.add_quantization_version(2)
    _add_network(writer, shape)
    _add_vocabulary(writer, vocabulary)
    for name, array in weights.items():
        if array.ndim == 1:
            writer.add_tensor(name, np.asarray(array, np.float32))
            continue
        kind = table_kind if name == "token_embd.weight" else matrix_kind
        rounded = np.asarray(array, np.float16)  # every format starts from f16, as when that file is quantised
        data = rounded if kind == Kind.F16 else quantize(rounded.astype(np.float32), kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.add_tensor(DIVISORS, shape.rope_divisors())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def weights_of(reader: GGUFReader) -> Weights:
    """The trained weights of a file, as its format has rounded them."""
    return {
        tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors if tensor.name != DIVISORS
    }


def _describe(writer: GGUFWriter, shape: Shape, weights: Weights) -> None:
    writer.add_type("model")
    writer.add_name(shape.name)
    writer.add_size_label(f"{sum(array.size for array in weights.values()) / 1e6:.1f}M")
    writer.add_license("MIT OR Apache-2.0")
    writer.add_description("Test model of the Gemma 4 architecture, trained from nothing on made-up conversations")


def _add_network(writer: GGUFWriter, shape: Shape) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_value_heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    for add in (
        writer.add_key_length,
        writer.add_value_length,
        writer.add_key_length_swa,
        writer.add_value_length_swa,
        writer.add_rope_dimension_count,
        writer.add_rope_dimension_count_swa,
    ):
        add(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base_full)
    writer.add_rope_freq_base_swa(shape.rope_base_window)
    writer.add_sliding_window(shape.window)
    writer.add_sliding_window_pattern([layer not in shape.full for layer in range(shape.layers)])
    writer.add_final_logit_softcapping(shape.softcap)
    writer.add_embedding_length_per_layer_input(0)  # llama.cpp wants the key even where there are none
    writer.add_shared_kv_layers(0)
    writer.add_sampling_temp(1.0)
    writer.add_sampling_top_k(64)
    writer.add_sampling_top_p(0.95)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_scores([-1000.0] * len(vocabulary.tokens))
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.ids["<bos>"])
    writer.add_eos_token_id(vocabulary.ids["<turn|>"])
    writer.add_eot_token_id(vocabulary.ids["<turn|>"])
    writer.add_unk_token_id(vocabulary.ids["<unk>"])
    writer.add_pad_token_id(vocabulary.ids["<pad>"])
    writer.add_mask_token_id(vocabulary.ids["<mask>"])
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE.read_text())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", choices=SHAPES)
    arguments.add_argument("--vocabulary", type=Path, required=True)
    arguments.add_argument("--weights", type=Path, required=True, help="what train.py wrote")
    arguments.add_argument("--out", type=Path, required=True, help="folder")
    given = arguments.parse_args()
    weights, vocabulary = dict(np.load(given.weights)), Vocabulary.load(given.vocabulary)
    for form in FORMATS:
        export(given.out / f"{given.model}-{form}.gguf", SHAPES[given.model], weights, vocabulary, form)


if __name__ == "__main__":
    main()
