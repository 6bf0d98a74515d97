"""Networks applied in half precision: accuracy, overflow, and the precision that results name."""

import logging

import pytest
import torch
from torch import nn

from srzoo.components import inference_facts, scored_form
from srzoo.infer import precision as applied
from srzoo.infer.precision import AtPrecision
from srzoo.optim.compilation import CompiledForScoring
from srzoo.optim.precision import set_process
from srzoo.options import load_options
from srzoo.registry import ARCHS
from tests.support import needs_compiler, photograph, training_options, write_options


@pytest.fixture(autouse=True)
def _warnings_are_given_again():
    applied.warn_once.cache_clear()


def image():
    return torch.from_numpy(photograph(24, 28)).permute(2, 0, 1)[None] / 255  # (H, W, 3) -> (1, 3, H, W)


@torch.no_grad()
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 0), ("tf32", 0), ("bf16", 0.02), ("fp16", 0.003)])
def test_half_precision_is_close(precision, tolerance):
    torch.manual_seed(0)
    net = ARCHS.build("SRResNet", {"num_block": 2}, scale=2).eval()
    sr, plain = AtPrecision(precision, "bf16")(lambda: net(image()), "cpu"), net(image())
    assert sr.dtype == torch.float32
    difference = (sr - plain).abs().max()
    assert difference <= tolerance
    assert (difference > 0) == (precision in ("bf16", "fp16"))


class Beyond(nn.Module):
    """The image, by way of values beyond the range of fp16 where it is bright."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Conv2d(3, 3, 1, groups=3, bias=False), nn.Conv2d(3, 3, 1, groups=3, bias=False)
        for layer, value in ((self.up, 2.0**17), (self.down, 2.0**-17)):
            nn.init.constant_(layer.weight, value)

    def forward(self, lq):
        return self.down(self.up(lq))


@torch.no_grad()
@pytest.mark.parametrize(("wider", "tolerance", "word"), [("bf16", 0.005, "bfloat16"), ("fp32", 0, "float32")])
def test_an_image_that_overflows_is_computed_again(wider, tolerance, word, caplog):
    net, precisely = Beyond(), AtPrecision("fp16", wider)
    with caplog.at_level(logging.WARNING, "srzoo"):
        outputs = [precisely(lambda: net(image()), "cpu") for _ in range(2)]
    for sr in outputs:
        assert (sr - image()).abs().max() <= tolerance
    assert [record.message for record in caplog.records] == [
        f"val.precision fp16: an output left the range of float16; such images are computed again in {word}"
    ]


@pytest.mark.parametrize(
    ("network", "wanted", "form", "word"),
    [
        ("IMDN_RTC", "fp32", ("fp32", "bf16"), "float32"),
        ("IMDN_RTC", "bf16", ("bf16", "bf16"), "bfloat16"),
        ("RT4KSR", "fp16", ("fp16", "fp32"), "float16"),
        ("RT4KSR", "bf16", ("fp32", "fp32"), "float32"),
    ],
)
def test_results_name_the_precision_of_scoring(tmp_path, network, wanted, form, word):
    changes = {"network_g": {"type": network, "num_modules": None}, "val": {"precision": wanted}}
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    options = load_options(file, []).options
    net = scored_form(options, options.network_g.build(scale=2))
    assert net.precisely == AtPrecision(*form)
    assert inference_facts(options)["precision"] == net.describe()["precision"] == word


def test_a_training_in_tf32_is_scored_in_float32(tmp_path):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, precision="tf32"))
    options = load_options(file, []).options
    net = scored_form(options, options.network_g.build(scale=2))
    assert net.precision == "fp32"
    # TF32 is a setting of the process, which training has set and which is restored.
    seen, before = [], torch.backends.cuda.matmul.fp32_precision
    try:
        set_process("tf32", deterministic=False)
        net.precisely(lambda: seen.append(torch.backends.cuda.matmul.fp32_precision) or image(), "cuda")
        assert seen == ["ieee"]
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        set_process("tf32" if before == "tf32" else "fp32", deterministic=False)


def test_results_say_that_the_network_was_compiled(tmp_path):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, compile="default"))
    assert inference_facts(load_options(file, []).options)["precision"] == "float32, compiled"


@needs_compiler
def test_the_network_inside_tiles_is_compiled(tmp_path):
    changes = {"compile": True, "val": {"tile": 16, "tile_overlap": 24}}
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    options = load_options(file, []).options
    net = scored_form(options, options.network_g.build(scale=2))
    assert isinstance(net.net, CompiledForScoring)
    assert not isinstance(net.plain, CompiledForScoring)
    assert net.describe() | {"tile": 16, "precision": "float32, compiled"} == net.describe()
