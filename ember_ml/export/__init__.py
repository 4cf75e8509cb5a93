"""Programs in the formats of others: `to_onnx`."""

from ember_ml.export.onnx import to_onnx as to_onnx
