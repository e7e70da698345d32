"""The forms that networks are exported to, by name."""

from wsss.model_formats.form import Form
from wsss.model_formats.onnx import ONNX
from wsss.model_formats.torchscript import TORCHSCRIPT

FORMS: dict[str, Form] = {"onnx": ONNX, "torchscript": TORCHSCRIPT}
