"""Networks and their inference form. See `BlobNet` and `InferenceNet`."""

from net.blobnet import PRESETS, BlobNet, NetConfig, parameter_count
from net.float8 import Float8Net, float8_products
from net.inference import InferenceNet, default_inference_dtype
from net.int8 import Int8Net, int8_available

__all__ = [
    "PRESETS",
    "BlobNet",
    "Float8Net",
    "InferenceNet",
    "Int8Net",
    "NetConfig",
    "default_inference_dtype",
    "float8_products",
    "int8_available",
    "parameter_count",
]
