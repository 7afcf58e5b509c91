"""A decoder of the Llama kind as an OpenVINO model: keys and values are its states, which a request fills.

Written operation by operation from the architecture, so that matrices may be stored in few bits in the form that OpenVINO's
plugins multiply as it is: an integer, a conversion, a scale. Inputs are those that OpenVINO GenAI gives: `input_ids`,
`attention_mask` (of the whole text), `position_ids`, `beam_idx`; the output is `logits`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import openvino as ov
import torch
import transformers
from openvino import opset15 as op
from openvino.op import util

from edgekit.catalog.architecture import NORMED_HEADS, Architecture
from edgekit.compress.openvino_file import GROUP

ACTIVATIONS = {"silu": op.swish, "gelu": lambda x: op.gelu(x, "erf"), "gelu_pytorch_tanh": lambda x: op.gelu(x, "tanh")}
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
END = np.iinfo(np.int32).max  # of a slice: the last
MASKED = np.float32(-65504.0)  # added to the score of a key that may not be seen


def build(a: Architecture, weights: Mapping[str, torch.Tensor], precision: str) -> ov.Model:
    """The model. precision: float32; int8, a scale for each output; or int4, a scale for each GROUP inputs, where embedding and
    output head have int8. Both round to nearest and are symmetric."""
    return _Graph(a, weights, precision).model()


class _Graph:
    def __init__(self, a: Architecture, weights: Mapping[str, torch.Tensor], precision: str):
        self.a, self.weights, self.precision = a, weights, precision
        self.ids, self.mask, self.positions = (op.parameter([-1, -1], np.int64, name=name) for name in
                                               ("input_ids", "attention_mask", "position_ids"))
        self.beams = op.parameter([-1], np.int32, name="beam_idx")
        self.assigned: list[ov.Node] = []

    def model(self) -> ov.Model:
        table = self._matrix(EMBEDDING)
        x = op.gather(table, self.ids, np.int64(0))
        turns, seen = self._turns(), self._seen()
        for i in range(self.a.layers):
            name = f"model.layers.{i}"
            x = op.add(x, self._attention(self._norm(x, f"{name}.input_layernorm"), i, turns, seen))
            x = op.add(x, self._mlp(self._norm(x, f"{name}.post_attention_layernorm"), f"{name}.mlp"))
        head = table if self.a.tied else self._matrix(HEAD)
        logits = op.result(op.matmul(self._norm(x, "model.norm"), head, False, True), name="logits")
        logits.get_output_tensor(0).set_names({"logits"})
        given = [self.ids, self.mask, self.positions, self.beams]
        for one in given:
            one.get_output_tensor(0).set_names({one.get_friendly_name()})
        return ov.Model([logits], self.assigned, given, "decoder")

    def _attention(self, x: ov.Node, layer: int, turns: tuple[ov.Node, ov.Node], seen: ov.Node) -> ov.Node:
        a, name = self.a, f"model.layers.{layer}.self_attn"
        q = self._heads(self._linear(x, f"{name}.q_proj"), a.heads)
        k, v = (self._heads(self._linear(x, f"{name}.{kind}_proj"), a.kv_heads) for kind in "kv")
        if a.family in NORMED_HEADS:
            q, k = self._norm(q, f"{name}.q_norm"), self._norm(k, f"{name}.k_norm")
        q, k = self._turned(q, turns), self._turned(k, turns)
        k, v = self._kept(k, f"past_key_values.{layer}.keypresent.{layer}.key"), self._kept(
            v, f"past_key_values.{layer}.valuepresent.{layer}.value")
        mixed = op.scaled_dot_product_attention(q, self._repeated(k), self._repeated(v), seen)
        mixed = op.reshape(op.transpose(mixed, [0, 2, 1, 3]), [0, 0, a.heads * a.head_dim], True)
        return self._linear(mixed, f"{name}.o_proj")

    def _mlp(self, x: ov.Node, name: str) -> ov.Node:
        gate = ACTIVATIONS[self.a.activation](self._linear(x, f"{name}.gate_proj"))
        return self._linear(op.multiply(gate, self._linear(x, f"{name}.up_proj")), f"{name}.down_proj")

    def _heads(self, x: ov.Node, heads: int) -> ov.Node:
        """(texts, tokens, heads · size) to (texts, heads, tokens, size)."""
        return op.transpose(op.reshape(x, [0, 0, heads, self.a.head_dim], True), [0, 2, 1, 3])

    def _kept(self, new: ov.Node, name: str) -> ov.Node:
        """Keys or values of the whole text: the state `name`, reordered by beams, with the new ones behind it."""
        texts = op.gather(op.shape_of(self.ids), [0], np.int64(0))
        empty = op.broadcast(np.float32(0), op.concat([texts, np.array([self.a.kv_heads, 0, self.a.head_dim])], 0))
        info = util.VariableInfo()
        info.data_shape, info.data_type, info.variable_id = ov.PartialShape([-1, self.a.kv_heads, -1, self.a.head_dim]), \
            ov.Type.f32, name
        variable = util.Variable(info)
        whole = op.concat([op.gather(op.read_value(empty, variable), self.beams, np.int64(0)), new], 2)
        self.assigned.append(op.assign(whole, variable))
        return whole

    def _repeated(self, x: ov.Node) -> ov.Node:
        """Keys or values once for each head of the queries."""
        a = self.a
        times = a.heads // a.kv_heads
        if times == 1:
            return x
        wide = op.broadcast(op.unsqueeze(x, 2), [1, 1, times, 1, 1], broadcast_spec="BIDIRECTIONAL")
        return op.reshape(wide, [0, a.heads, -1, a.head_dim], True)

    def _turns(self) -> tuple[ov.Node, ov.Node]:
        """Cosines and sines of the rotations: (texts, 1, tokens, size of a head)."""
        a = self.a
        rope = dict(a.rope_scaling) or dict(rope_type="default")
        config = transformers.LlamaConfig(hidden_size=a.width, num_attention_heads=a.heads, head_dim=a.head_dim,
                                          max_position_embeddings=a.context,
                                          rope_parameters=rope | dict(rope_theta=a.rope_theta))
        made = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(config)
        rates = np.tile(made.inv_freq.float().numpy(), 2)[None, None]
        angles = op.multiply(op.unsqueeze(op.convert(self.positions, "f32"), 2), rates)
        scale = np.float32(made.attention_scaling)
        cosines, sines = (op.unsqueeze(kind(angles), 1) for kind in (op.cos, op.sin))
        return (cosines, sines) if scale == 1 else (op.multiply(cosines, scale), op.multiply(sines, scale))

    def _turned(self, x: ov.Node, turns: tuple[ov.Node, ov.Node]) -> ov.Node:
        half = self.a.head_dim // 2
        first, second = (op.slice(x, [begin], [end], [1], [3]) for begin, end in ((0, half), (half, END)))
        across = op.concat([op.multiply(second, np.float32(-1)), first], -1)
        return op.add(op.multiply(x, turns[0]), op.multiply(across, turns[1]))

    def _seen(self) -> ov.Node:
        """What is added to the scores, (texts, 1, new tokens, tokens): 0 for a key that may be seen, MASKED for others."""
        texts, tokens = (op.squeeze(op.gather(op.shape_of(self.mask), [axis], np.int64(0)), 0) for axis in (0, 1))
        new = op.squeeze(op.gather(op.shape_of(self.ids), [1], np.int64(0)), 0)
        places = op.range(np.int64(0), tokens, np.int64(1), "i64")
        own = op.unsqueeze(op.range(op.subtract(tokens, new), tokens, np.int64(1), "i64"), 1)
        before = op.unsqueeze(op.less_equal(op.unsqueeze(places, 0), own), [0, 1])
        there = op.unsqueeze(op.convert(self.mask, "boolean"), [1, 2])
        return op.select(op.logical_and(before, there), np.float32(0), MASKED)

    def _norm(self, x: ov.Node, name: str) -> ov.Node:
        mean = op.reduce_mean(op.power(x, np.float32(2)), [-1], True)
        root = op.sqrt(op.add(mean, np.float32(self.a.norm_eps)))
        return op.multiply(op.multiply(x, op.divide(np.float32(1), root)), self._vector(f"{name}.weight"))

    def _linear(self, x: ov.Node, name: str) -> ov.Node:
        made = op.matmul(x, self._matrix(name), False, True)
        return op.add(made, self._vector(f"{name}.bias")) if f"{name}.bias" in self.weights else made

    def _vector(self, name: str) -> ov.Node:
        return _constant(self.weights[name].float().numpy(), name)

    def _matrix(self, name: str) -> ov.Node:
        """A matrix as it is stored, and the operations that widen it to float32, which plugins leave out where they can."""
        name = f"{name}.weight"
        wide = self.weights[name].float().numpy()
        if self.precision == "float32":
            return _constant(wide, name)
        if self.precision == "int8" or name.startswith((EMBEDDING, HEAD)):
            stored, scale = in_eight_bits(wide)
            return op.convert(op.multiply(op.convert(_constant(stored, name), "f16"), _constant(scale, f"{name}.scale")), "f32")
        packed, scale = in_four_bits(wide)
        groups = (len(wide), wide.shape[1] // GROUP, GROUP)
        stored = ov.Tensor(ov.Type.i4, ov.Shape(groups))  # with memory of its own: a constant does not keep an array alive
        stored.data[:] = packed
        grouped = op.multiply(op.convert(op.constant(stored, name=name), "f16"), _constant(scale, f"{name}.scale"))
        return op.convert(op.reshape(grouped, np.array(wide.shape), False), "f32")


def in_eight_bits(wide: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers from -127 to 127 and float16 scales (outputs, 1): round to nearest, the largest of an output at the end."""
    scale = _scale(np.abs(wide).max(1, keepdims=True) / 127)
    return np.clip(np.rint(wide / scale.astype(np.float32)), -127, 127).astype(np.int8), scale


def in_four_bits(wide: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers from -8 to 7, two in a byte, the first in its lower half, and float16 scales (outputs, groups, 1): round to
    nearest, the largest of a group at -8."""
    grouped = wide.reshape(len(wide), -1, GROUP)
    largest = np.take_along_axis(grouped, np.abs(grouped).argmax(-1)[..., None], -1)
    scale = _scale(largest / -8)
    stored = np.clip(np.rint(grouped / scale.astype(np.float32)), -8, 7).astype(np.int8).reshape(-1, 2)
    return ((stored[:, 0] & 15) | (stored[:, 1] << 4)).astype(np.uint8), scale


def _scale(exact: np.ndarray) -> np.ndarray:
    """Scales in float16; 1 where all is zero, or too small for it."""
    half = exact.astype(np.float16)
    return np.where(half == 0, np.float16(1), half)


def _constant(values: np.ndarray, name: str) -> ov.Node:
    return op.constant(np.ascontiguousarray(values), name=name)
