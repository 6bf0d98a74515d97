"""Trained features of image classifiers, which losses and metrics compare images by."""

from pathlib import Path

from torch import nn

from srzoo.state_dicts import find_state_dicts, misfits, refuse_unusual, shortened, without_prefixes
from srzoo.tensor_files import CheckpointError, non_finite, read_tensor_file


def load_features(features: nn.Module, net: str, path: Path) -> nn.Module:
    """Load the feature layers of an image classifier from a file with torchvision's keys; return them.

    Args:
        features: the layers, maybe on the meta device.
        net: name of the classifier, for messages.
        path: file with keys like ``features.0.weight`` (keys of the classifier are skipped), bare or in an entry, with
            any prefix.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: it does not hold these layers, or a value in it is NaN or infinite.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights of {net}: {path} does not exist")
    content, _ = read_tensor_file(path)
    expected = features.state_dict()
    found: list[dict[str, list[str]]] = []
    for state in find_state_dicts(content, str(path)):
        refuse_unusual(state.tensors, str(path))
        kept = {name: tensor for name, tensor in state.tensors.items() if "classifier" not in name.split(".")}
        for tensors in without_prefixes(kept):
            differing = misfits(expected, tensors)
            if not differing:
                if not_finite := non_finite(tensors):
                    raise CheckpointError(f"{path}: values that are not finite: {not_finite}")
                features.load_state_dict(tensors, assign=True)
                return features
            found.append(differing)
    closest = min(found, key=lambda differing: sum(map(len, differing.values())))
    listed = "; ".join(f"{len(names)} {kind}: {shortened(names, 3)}" for kind, names in closest.items())
    raise CheckpointError(f"{path} does not hold {net}'s weights under torchvision's keys: {listed}")
