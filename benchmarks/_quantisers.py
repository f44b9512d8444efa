"""Others that quantise a torch module: torchao, Intel Neural Compressor, NNI, where they install.

Each gets the same trained network and the same calibration rows, by its own default way to eight
bits on this processor. torchao is in the `bench` extra. Intel Neural Compressor 3.10 needs its
[pt] extra; NNI 3.0 pins old packages (filelock, typeguard), and wants an environment of its own.
"""

import copy
import importlib.util
import warnings

import torch
from torch import Tensor, nn

__all__ = ["QUANTISERS", "installed", "quantised"]


def _exported(network: nn.Module, rows: Tensor) -> nn.Module:
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(network, (rows,), dynamic_shapes=({0: batch},)).module()


def torchao(network: nn.Module, rows: Tensor) -> nn.Module:
    """Static int8 of weights and activations, calibrated on an exported graph."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(_exported(network, rows), quantizer)
    prepared(rows)
    return convert_pt2e(prepared)


def neural_compressor(network: nn.Module, rows: Tensor) -> nn.Module:
    """Its static int8, by the exported graph; falls back on torchao's kernels by itself."""
    from neural_compressor.torch import quantization as inc
    from neural_compressor.torch.export import export

    batch = ({0: torch.export.Dim("batch", min=1)},)
    exported = export(network, (rows,), dynamic_shapes=batch)
    prepared = inc.prepare(exported, inc.get_default_static_config(), example_inputs=(rows,))
    prepared(rows)
    return inc.convert(prepared)


def nni(network: nn.Module, rows: Tensor) -> nn.Module:
    """Its post-training quantiser, which simulates eight bits in floating point."""
    from nni import trace as traced
    from nni.compression.quantization import PtqQuantizer
    from nni.compression.utils import TorchEvaluator

    kinds = ["Conv2d", "Linear"]
    names = ["weight", "_input_"]
    config = {"op_types": kinds, "target_names": names, "quant_dtype": "int8"}
    network = copy.deepcopy(network)

    def train(model: nn.Module, *_: object, **__: object) -> None:
        model(rows)

    optimizer = traced(torch.optim.SGD)(network.parameters(), 0.0)
    evaluator = TorchEvaluator(train, optimizer, train)
    quantizer = PtqQuantizer(network, [config | {"granularity": "default"}], evaluator)
    quantizer.compress(max_steps=1, max_epochs=None)
    return network.eval()


QUANTISERS = {"torchao": torchao, "neural_compressor": neural_compressor, "nni": nni}


def installed(name: str) -> bool:
    """Say whether a rival can be imported, without importing it."""
    return importlib.util.find_spec(name) is not None


def quantised(name: str, network: nn.Module, rows: Tensor) -> nn.Module:
    """Quantise by a rival, its warnings kept to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return QUANTISERS[name](copy.deepcopy(network).eval(), rows)
