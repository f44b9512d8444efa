"""What a known operator may still ask for that cannot be executed: found before anything runs."""

from netwright.artefact._graph import Graph, Node
from netwright.artefact._operators._recurrent import ACTIVATIONS

__all__ = ["limitation"]

_WHOLE = ("torch.uint8", "torch.int8", "torch.uint16", "torch.int16")


def limitation(node: Node, graph: Graph) -> str:
    """Say what about a node cannot be executed; empty if all of it can.

    Args:
        node: of a known operator.
        graph: that it stands in.
    """
    if node.op in ("GRU", "LSTM", "RNN"):
        return _recurrent(node)
    if node.op in ("Resize", "Upsample"):
        return _resize(node)
    if node.op in ("QuantizeLinear", "DequantizeLinear"):
        return _quantized(node, graph)
    if node.op == "MaxPool" and len(node.outputs) > 1 and node.outputs[1]:
        return "the second output, indices"
    if node.op == "BatchNormalization":
        if node.get("training_mode", 0) or any(node.outputs[1:]):
            return "training mode"
    if node.op == "BatchNormalization" and not node.get("spatial", 1):
        return "spatial=0"
    if node.op == "Dropout" and len(node.inputs) > 2 and node.inputs[2]:
        flag = graph.initializers.get(node.inputs[2])
        if flag is None or bool(flag):
            return "training mode"
    if node.op == "Cast" and node.get("to") == 8:
        return "to text"
    if node.op == "ScatterND" and node.get("reduction", "none") not in ("none", "add"):
        return f"reduction={node.get('reduction')}"
    return ""


def _recurrent(node: Node) -> str:
    if "clip" in node.attributes:
        return "clip"
    if node.get("input_forget", 0):
        return "input_forget"
    unknown = [a for a in node.get("activations", ()) if a.lower() not in ACTIVATIONS]
    if unknown or "activation_alpha" in node.attributes:
        return f"activations {', '.join(unknown) or 'with alpha'}"
    return ""


def _resize(node: Node) -> str:
    if node.get("antialias", 0):
        return "antialias"
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        return f"keep_aspect_ratio_policy={node.get('keep_aspect_ratio_policy')}"
    if node.get("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return "coordinate_transformation_mode=tf_crop_and_resize"
    return ""


def _quantized(node: Node, graph: Graph) -> str:
    if node.get("block_size", 0):
        return "block_size"
    if node.op == "QuantizeLinear" and len(node.inputs) > 2 and node.inputs[2]:
        zero = graph.initializers.get(node.inputs[2])
        if zero is None or str(zero.dtype) not in _WHOLE:
            return "a zero point that is computed or not of 8 or 16 bits"
    return ""
