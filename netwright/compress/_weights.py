"""The weights of a network by name, and constraints that hold them while it goes on learning.

A constraint is a torch parametrization: the network computes with the constrained weight, gradients
pass through it, and any optimiser or training loop can be used. `settle` ends it.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["constrain", "constraint", "plain_state", "settle", "weights"]

_INNER = "parametrizations"


def weights(network: nn.Module, *, least_axes: int = 2) -> dict[str, Tensor]:
    """Return the floating-point parameters by name, as the network computes with them.

    Args:
        network: with or without constraints; names are those of its unconstrained `state_dict`.
        least_axes: parameters with fewer axes (biases, scales of norms) are left out.

    Returns:
        Detached tensors; a parameter used twice stands there once.

    Example:
        >>> list(weights(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))))
        ['0.weight']
    """
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, module, attribute in _places(network):
        tensor = getattr(module, attribute)
        source = _source(module, attribute)
        if tensor.ndim >= least_axes and tensor.is_floating_point() and id(source) not in seen:
            seen.add(id(source))
            found[name] = tensor.detach()
    return found


def constrain(network: nn.Module, name: str, constraint: nn.Module) -> None:
    """Hold one parameter by a constraint, in place of an earlier one.

    Args:
        network: changed in place.
        name: of the parameter, as in `weights`.
        constraint: maps what is learned to the weight; with `right_inverse`, what is learned starts
            from the inverse of the weight as it is now.

    Raises:
        ValueError: if the network has no such parameter.
    """
    module, attribute = _find(network, name)
    _separate(module)
    if parametrize.is_parametrized(module, attribute):
        parametrize.remove_parametrizations(module, attribute, leave_parametrized=True)
    parametrize.register_parametrization(module, attribute, constraint)


def constraint(network: nn.Module, name: str) -> nn.Module | None:
    """Return what holds a parameter; None if nothing does.

    Args:
        network: whose parameter it is.
        name: of the parameter, as in `weights`.

    Raises:
        ValueError: if the network has no such parameter.
    """
    module, attribute = _find(network, name)
    if not parametrize.is_parametrized(module, attribute):
        return None
    return module.parametrizations[attribute][0]  # type: ignore[index]


def settle(network: nn.Module) -> None:
    """End all constraints; the parameters keep the values that the network computed with.

    Args:
        network: changed in place; it is plain afterwards.
    """
    for _, module, attribute in tuple(_places(network)):
        if parametrize.is_parametrized(module, attribute):
            _separate(module)
            parametrize.remove_parametrizations(module, attribute, leave_parametrized=True)


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """Return what `state_dict` would hold if the network were settled.

    Args:
        network: left as it is.
    """
    held = {name: getattr(module, attribute) for name, module, attribute in _places(network)}
    buffers = {name: tensor for name, tensor in network.named_buffers() if f"{_INNER}." not in name}
    return {name: tensor.detach() for name, tensor in (held | buffers).items()}


def _separate(module: nn.Module) -> None:
    # A copied module shares its class, on which torch keeps the constrained weights as properties:
    # one more or one less would change every copy. So each gets a class of its own first.
    if parametrize.is_parametrized(module):
        shared = type(module)
        own = {k: v for k, v in vars(shared).items() if k not in ("__dict__", "__weakref__")}
        object.__setattr__(module, "__class__", type(shared.__name__, shared.__bases__, own))


def _places(network: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    for path, module in network.named_modules():
        parts = path.split(".")
        if _INNER in parts:
            continue
        held = tuple(getattr(module, _INNER, ()))
        for attribute in (*dict(module.named_parameters(recurse=False)), *held):
            yield f"{path}.{attribute}" if path else attribute, module, attribute


def _source(module: nn.Module, attribute: str) -> object:
    if parametrize.is_parametrized(module, attribute):
        return module.parametrizations[attribute].original  # type: ignore[index]
    return getattr(module, attribute)


def _find(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    for found, module, attribute in _places(network):
        if found == name:
            return module, attribute
    listed = ", ".join(weights(network, least_axes=0))
    raise ValueError(f"The network has no weight `{name}`; it has {listed}.")
