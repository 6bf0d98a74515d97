"""Former home of weights and training states: importing from here says where each name is now."""

_MOVED = {
    "CheckpointError": "srzoo.tensor_files",
    "Weights": "srzoo.weights",
    "load_network": "srzoo (or srzoo.weights)",
    "load_state": "srzoo.state",
    "load_weights": "srzoo (or srzoo.weights)",
    "read_weights": "srzoo.weights",
    "rebuild": "srzoo.weights",
    "save_state": "srzoo.state",
    "save_tensors": "srzoo.tensor_files, as write_tensors",
    "save_weights": "srzoo.weights",
    "sha256": "srzoo.tensor_files",
}


def __getattr__(name: str) -> object:
    if name in _MOVED:
        raise ImportError(f"srzoo.checkpoint was split: import {name} from {_MOVED[name]}")
    raise AttributeError(f"module 'srzoo.checkpoint' has no attribute {name!r}")
