"""The inference form with 8-bit integers in the encoder, for CPUs that multiply them (VNNI)."""

import functools
import warnings

import torch
from torch import Tensor

from net.blobnet import BlobNet
from net.calibration import Span, activation_spans, encoder_layers, norm
from net.inference import CPU_MICRO_BATCH, InferenceNet, folded_weights


class Int8Net(InferenceNet):
    """An `InferenceNet` on a CPU that multiplies 8-bit integers in its encoder layers, 95% of the document network.

    Post-training quantisation (Jacob et al., "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", 2018): weights symmetric by output channel, activations affine by tensor, in the
    ranges that ``observations`` give; a value beyond is cut off. Sums, norms and the residual stream are float32,
    embedding and heads bfloat16. The ranges are fixed, so rows do not see each other.

    Args:
        net: the source; its weights are copied.
        observations: [K, observation] positions like those to come.
        micro_batch: rows evaluated at once; `CPU_MICRO_BATCH` when None.

    Raises ValueError where this processor or this PyTorch cannot do it, or without observations.
    """

    def __init__(self, net: BlobNet, observations: Tensor, micro_batch: int | None = None):
        if not int8_available():
            raise ValueError("int8 needs a CPU with AVX-512 VNNI and bfloat16, or AMX, and a PyTorch with oneDNN")
        if len(observations) == 0:
            raise ValueError("int8 needs observations, to take the ranges of the activations from")
        self._observations = observations.to("cpu", torch.float32)
        super().__init__(net, torch.bfloat16, "cpu", micro_batch)
        self._quantise(net)

    def refresh(self, net: BlobNet) -> None:
        super().refresh(net)
        self._quantise(net)

    def _quantise(self, net: BlobNet) -> None:
        pairs = [(weight.float(), bias.float()) for weight, bias in folded_weights(net)]
        self._int8_layers = []
        for layer, spans in zip(encoder_layers(pairs), activation_spans(pairs, self._observations), strict=True):
            attention, norm1, linear1, linear2, norm2 = layer
            blocks = [_Int8Linear(*pair, span) for pair, span in zip((attention, linear1, linear2), spans, strict=True)]
            self._int8_layers.append((blocks[0], norm1, blocks[1], blocks[2], norm2))

    def _encode(self, x: Tensor) -> Tensor:
        x = self._embed_norm(self._embed(x)).float()
        for attention, norm1, linear1, linear2, norm2 in self._int8_layers:
            x = norm(attention.add(x, x), *norm1)
            hidden = linear1.relu(x, linear2)
            x = norm(linear2.add(hidden, x), *norm2)
        return x.bfloat16()


class _Int8Linear:
    """y = x W^T + b for x within a span, weight [out, in] and bias [out] float32, by oneDNN's 8-bit products."""

    def __init__(self, weight: Tensor, bias: Tensor, span: Span):
        low, high = min(span[0], 0.0), max(span[1], 0.0)  # 0 must be a level: oneDNN's own padding
        self.scale = max(high - low, 1e-6) / 255
        self.zero = round(-low / self.scale)
        self.bias = bias
        self.weight_scale = weight.abs().amax(1).clamp(min=1e-12) / 127
        self.weight_zero = torch.zeros(len(weight), dtype=torch.int64)
        self.weight = (weight / self.weight_scale[:, None]).round().to(torch.int8)
        self._pack()

    def _pack(self) -> None:
        """Puts the weight into oneDNN's own layout, which no pickle can hold."""
        self.packed = torch.ops.onednn.qlinear_prepack(self.weight, [CPU_MICRO_BATCH, self.weight.shape[1]])

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "packed"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._pack()

    def levels(self, x: Tensor) -> Tensor:
        """x [B, in] float32 -> [B, in] uint8; as it is if it comes in levels."""
        if x.dtype == torch.uint8:
            return x
        # The fast way to bytes in PyTorch 2.13: 0.05 ms for 2,048 x 256, where `.to(torch.uint8)` alone takes 0.28.
        quantised = torch.quantize_per_tensor(x, self.scale, self.zero, torch.quint8)
        return torch.empty(0, dtype=torch.uint8).set_(quantised.untyped_storage(), 0, quantised.shape)

    def relu(self, x: Tensor, following: "_Int8Linear") -> Tensor:
        """max(y, 0) in the levels of the layer that comes next: [B, out] uint8."""
        return torch.ops.onednn.qlinear_pointwise(
            *self._product(x), self.bias, following.scale, following.zero, torch.uint8, "relu", [], ""
        )

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """y + residual: [B, out] float32."""
        product = (*self._product(x), residual, self.bias)
        return torch.ops.onednn.qlinear_pointwise.binary(
            *product, 1.0, 0, torch.float32, 1.0, 0, "add", 1.0, "none", [], ""
        )

    def _product(self, x: Tensor) -> tuple[object, ...]:
        return self.levels(x), self.scale, self.zero, self.packed, self.weight_scale, self.weight_zero


@functools.cache
def int8_available() -> bool:
    """Whether `Int8Net` works here: the processor's instructions, and oneDNN's operators as this file calls them."""
    try:
        if not (torch.cpu._is_vnni_supported() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.quantize_per_tensor is to go in a later PyTorch
            linear = _Int8Linear(torch.eye(16), torch.ones(16), (0.0, 255.0))
            x = torch.arange(16.0)[None]
            hidden = linear.relu(x, linear)
            return bool((hidden == x + 1).all() and ((linear.add(hidden, x) - (2 * x + 2)).abs() < 1e-3).all())
    except (AttributeError, RuntimeError):
        return False
