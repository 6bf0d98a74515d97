"""The mistakes people make: each ends with words, exit code 2, and nothing written."""

import pytest
import torch

from srzoo.images import write_image
from srzoo.registry import ARCHS
from tests.support import photograph, run_train, training_options, write_options, write_photographs

# (changes to a good option file, what is said)
IN_OPTIONS = {
    "misspelt key": ({"train": {"total_itr": 4}}, "train.total_itr: unknown option; did you mean 'total_iter'"),
    "text as scale": ({"scale": "four"}, "scale: expected integer > 0, got 'four'"),
    "impossible width": ({"network_g": {"num_feat": 10}}, "network_g.type: IMDN_RTC: num_feat must be a multiple of 4"),
    "negative rate": ({"train": {"optim_g": {"lr": -1.0}}}, "train.optim_g.type: Adam: Invalid learning rate: -1.0"),
    "no periods": ({"train": {"scheduler": {"type": "CosineRestart", "periods": []}}}, "equally long and not empty"),
    "idle frequency": (
        {"val": {"val_freq": 3}, "datasets": {"val": None}},
        "val.val_freq: there is nothing to validate on",
    ),
    "flips in validation": (
        {"datasets": {"val": {"held_out": {"use_hflip": True}}}},
        "gt_size, use_hflip and use_rot belong to training",
    ),
    "missing weights": ({"path": {"pretrain_network_g": "missing.pth"}}, "missing.pth do not exist"),
    "nothing to train": ({"network_g": {"type": "Bicubic", "num_modules": None}}, "Bicubic has no weights to train"),
    "no blocks": ({"network_g": {"num_modules": 0}}, "network_g.num_modules: expected integer > 0, got 0"),
    "no train section": (
        {"train": None, "datasets": {"train": None, "test": {"a": {"type": "GTImages", "gt": "x"}}}},
        "no `train` section",
    ),
}


def missing_folder(folder):
    return {"datasets": {"train": {"gt": str(folder / "nowhere")}}}, "nowhere does not exist"


def empty_folder(folder):
    (folder / "empty").mkdir()
    return {"datasets": {"train": {"gt": str(folder / "empty")}}}, "empty holds no image"


def one_truncated_image_among_good_ones(folder):
    path = folder / "train" / "01.png"
    path.write_bytes(path.read_bytes()[:-500])
    return {}, "1 fault(s) in the data:\n  train: " + f"{path}: truncated"


def a_dangling_link(folder):
    (folder / "train" / "link.png").symlink_to(folder / "gone.png")
    return {}, "link.png: not a readable image"


def image_smaller_than_metrics_need(folder):
    write_image(folder / "val" / "tiny.png", photograph(14, 14))
    return {}, "tiny.png: smaller than metrics need: 14x14, needed 15x15"


def lq_of_the_wrong_scale(folder):
    write_photographs(folder / "lq", 5, 30, 40)
    pairs = {"type": "PairedImages", "lq": str(folder / "lq")}
    return {
        "datasets": {"train": pairs}
    }, "wrong scale ratio: is 30x40, but GT 00.png of 96x120 at scale 2 asks for 48x60"


def weights_of_another_scale(folder):
    torch.save(ARCHS.build("IMDN_RTC", {"num_modules": 1}, scale=4).state_dict(), folder / "w.pth")
    return {"path": {"pretrain_network_g": str(folder / "w.pth")}}, "likely cause: `scale`"


def weights_of_another_network(folder):
    torch.save(ARCHS.build("IMDN", {}, scale=2).state_dict(), folder / "w.pth")
    return {"path": {"pretrain_network_g": str(folder / "w.pth")}}, "the file holds IMDN weights (network_g.type)"


def an_empty_image(folder):
    (folder / "train" / "void.png").write_bytes(b"")
    return {}, "void.png: not a readable image (the file is empty)"


def a_folder_of_weights(folder):
    return {"path": {"pretrain_network_g": str(folder)}}, "expected a weights file, but"


def a_file_as_image_folder(folder):
    return {"datasets": {"train": {"gt": str(folder / "train" / "01.png")}}}, "expected an image folder, but"


def options_as_weights(folder):
    (folder / "w.pth").write_text("name: run\nscale: 2\n")
    return {"path": {"pretrain_network_g": str(folder / "w.pth")}}, "w.pth: not a PyTorch weights file"


def text_file_named_pth(folder):
    (folder / "w.pth").write_text("hello world")
    return {"path": {"pretrain_network_g": str(folder / "w.pth")}}, "w.pth: not a PyTorch weights file"


IN_FILES = [
    missing_folder,
    empty_folder,
    one_truncated_image_among_good_ones,
    a_dangling_link,
    image_smaller_than_metrics_need,
    lq_of_the_wrong_scale,
    weights_of_another_scale,
    weights_of_another_network,
    text_file_named_pth,
    an_empty_image,
    a_folder_of_weights,
    a_file_as_image_folder,
    options_as_weights,
]


@pytest.mark.parametrize("mistake", [*IN_OPTIONS, *IN_FILES], ids=lambda m: m if isinstance(m, str) else m.__name__)
def test_it_ends_with_words_exit_code_2_and_no_files(tmp_path, capsys, mistake):
    training_options(tmp_path)  # writes the photographs
    changes, message = IN_OPTIONS[mistake] if isinstance(mistake, str) else mistake(tmp_path)
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    assert run_train(file) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "experiments").exists()
