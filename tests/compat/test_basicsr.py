"""The bridge to the package basicsr, and parity with it: scores, resize, kernels, networks, schedules, a training."""

import importlib.util
import math

import numpy as np
import pytest
import torch

from srzoo.archs.discriminator import UNetDiscriminatorSN, VGGStyleDiscriminator
from srzoo.batch import Batch
from srzoo.compat.basicsr.networks import import_basicsr
from srzoo.losses.adversarial import GANLoss
from srzoo.losses.criterion import Criterion
from srzoo.losses.pixel import CharbonnierLoss, L1Loss
from srzoo.metrics.psnr import PSNR
from srzoo.metrics.ssim import SSIM
from srzoo.models.sr import SRModel
from srzoo.ops.blur_kernels import Shape, gaussian_kernels, sinc_kernels
from srzoo.ops.filter2d import filter2d
from srzoo.ops.jpeg import jpeg
from srzoo.ops.resize import imresize
from srzoo.ops.sharpen import usm_sharpen
from srzoo.optim.learner import Learner
from srzoo.optim.schedules import CosineRestart, Iteration, MultiStepRestart
from srzoo.options import OptionsError, load_options
from srzoo.registry import ARCHS
from srzoo.weights import load_weights
from tests.support import photograph, run_test, run_train, training_options, write_options

INSTALLED = importlib.util.find_spec("basicsr") is not None
needs_basicsr = pytest.mark.skipif(not INSTALLED, reason="the package basicsr is not installed")


@pytest.fixture(autouse=True)
def no_traces(monkeypatch):
    """Networks that a test reaches for are unknown again afterwards."""
    assert "SRResNet" in ARCHS  # which makes srzoo's own known first
    monkeypatch.setattr(ARCHS, "_members", dict(ARCHS._members))


def images(seed=0, height=61, width=78):
    gt = photograph(height, width)
    noise = np.random.default_rng(seed).integers(-12, 13, gt.shape)
    return np.clip(gt + noise, 0, 255).astype(np.uint8), gt


def chw(image):
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float() / 255


@needs_basicsr
@pytest.mark.parametrize("luma", [False, True])
@pytest.mark.parametrize("scale", [2, 4])
def test_scores_are_the_same(luma, scale):
    module = import_basicsr("metrics.psnr_ssim")
    sr, gt = images()
    # OpenCV's order of channels is what basicsr's functions expect.
    bgr = [np.ascontiguousarray(image[..., ::-1]) for image in (sr, gt)]
    protocol = "basicsr-y" if luma else "basicsr-rgb"
    for ours, theirs in ((PSNR, module.calculate_psnr), (SSIM, module.calculate_ssim)):
        expected = theirs(*bgr, crop_border=scale, test_y_channel=luma)
        assert abs(float(ours(scale=scale, protocol=protocol)(chw(sr), chw(gt))) - expected) < 1e-5


@needs_basicsr
@pytest.mark.parametrize("scale", [0.25, 1 / 3, 0.5, 2, 3])
def test_resize_is_the_same(scale):
    image = images()[1].astype(np.float32) / 255
    expected = import_basicsr("utils.matlab_functions").imresize(image, scale)
    ours = imresize(torch.from_numpy(image).permute(2, 0, 1), scale).permute(1, 2, 0)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


@needs_basicsr
def test_kernels_are_the_same():
    module = import_basicsr("data.degradations")
    generator = np.random.default_rng(0)
    for _ in range(10):
        first, second = generator.uniform(0.3, 3, 2)
        theta, beta = generator.uniform(-math.pi, math.pi), generator.uniform(0.5, 4)
        sigma, angle, power = (torch.tensor([value], dtype=torch.float64) for value in ((first, second), theta, beta))
        cases: list[tuple[Shape, np.ndarray]] = [
            ("gaussian", module.bivariate_Gaussian(21, first, second, theta, isotropic=False)),
            ("generalized", module.bivariate_generalized_Gaussian(21, first, second, theta, beta, isotropic=False)),
            ("plateau", module.bivariate_plateau(21, first, second, theta, beta, isotropic=False)),
        ]
        for shape, expected in cases:
            ours = gaussian_kernels(21, sigma, angle, power, shape)[0]
            np.testing.assert_allclose(ours.numpy(), expected, atol=1e-10)
        cutoff = generator.uniform(1, math.pi)
        expected = module.circular_lowpass_kernel(cutoff, 13, pad_to=21)
        ours = sinc_kernels(21, torch.tensor([cutoff], dtype=torch.float64), torch.tensor([13]))[0]
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-6)


@needs_basicsr
def test_filters_sharpening_and_jpeg_are_the_same():
    process = import_basicsr("utils.img_process_util")
    image = torch.cat([chw(images(height=64, width=80)[1]), chw(images(1, 64, 80)[0])])
    kernels = torch.rand(2, 21, 21, generator=torch.Generator().manual_seed(0))
    kernels /= kernels.sum((1, 2), keepdim=True)
    torch.testing.assert_close(filter2d(image, kernels), process.filter2D(image, kernels), atol=1e-5, rtol=0)
    torch.testing.assert_close(usm_sharpen(image), process.USMSharp()(image), atol=1e-5, rtol=0)
    quality = torch.tensor([40.0, 77.0])
    with torch.no_grad():
        expected = import_basicsr("utils.diffjpeg").DiffJPEG(differentiable=False)(image, quality=quality.clone())
    ours = jpeg(image, quality, table="basicsr")
    # A coefficient half-way between two levels may be rounded either way.
    assert ((ours - expected).abs() > 1e-4).float().mean() < 0.02
    assert (ours - expected).abs().mean() < 1e-3


NETWORKS = {
    "MSRResNet": ("SRResNet", {"num_feat": 8, "num_block": 2}),
    "RRDBNet": ("RRDBNet", {"num_feat": 8, "num_block": 2, "num_grow_ch": 4}),
    "EDSR": ("EDSR", {"num_feat": 8, "num_block": 2, "res_scale": 0.1}),
    "RCAN": ("RCAN", {"num_feat": 16, "num_group": 2, "num_block": 2, "squeeze_factor": 4}),
    "SRVGGNetCompact": ("SRVGGNetCompact", {"num_feat": 8, "num_conv": 3}),
}


@needs_basicsr
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scale", [2, 4])
def test_networks_are_the_same_with_the_same_weights(name, scale):
    own_name, options = NETWORKS[name]
    torch.manual_seed(0)
    ARCHS.reach(f"basicsr/{name}")
    required = {"num_in_ch": 3, "num_out_ch": 3}
    theirs = ARCHS.build(f"basicsr/{name}", {**required, **options}, scale=scale).eval()
    ours = ARCHS.build(own_name, options, scale=scale).eval()
    load_weights(ours, dict(theirs.state_dict()))
    lq = torch.rand(2, 3, 16, 20)
    with torch.inference_mode():
        torch.testing.assert_close(ours(lq), theirs(lq), atol=1e-5, rtol=1e-5)


@needs_basicsr
@pytest.mark.parametrize("ours", [UNetDiscriminatorSN, VGGStyleDiscriminator])
def test_discriminators_are_the_same(ours):
    torch.manual_seed(0)
    archs = import_basicsr("utils.registry")
    import_basicsr("archs")
    theirs = archs.ARCH_REGISTRY.get(ours.__name__)(num_in_ch=3, num_feat=8).eval()
    net = ours(num_feat=8).eval()
    net.load_state_dict(theirs.state_dict())
    image = torch.rand(2, 3, 128, 128)
    torch.testing.assert_close(net(image), theirs(image), atol=1e-5, rtol=1e-5)


@needs_basicsr
def test_losses_are_the_same():
    losses = import_basicsr("losses.basic_loss")
    sr, gt = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(L1Loss()(sr, gt), losses.L1Loss()(sr, gt))
    torch.testing.assert_close(CharbonnierLoss(eps=1e-3)(sr, gt), losses.CharbonnierLoss(eps=1e-6)(sr, gt))
    logits = torch.randn(4, 1)
    for kind in ("vanilla", "lsgan", "wgan", "wgan_softplus", "hinge"):
        theirs = import_basicsr("losses.gan_loss").GANLoss(kind)
        torch.testing.assert_close(GANLoss(gan_type=kind).generator(logits), theirs(logits, True, is_disc=False))
        real, fake = GANLoss(gan_type=kind).discriminator(logits, -logits)
        torch.testing.assert_close(real, theirs(logits, True, is_disc=True))
        torch.testing.assert_close(fake, theirs(-logits, False, is_disc=True))


@needs_basicsr
@pytest.mark.parametrize("kind", ["multistep", "cosine"])
def test_schedules_are_the_same(kind):
    module = import_basicsr("models.lr_scheduler")
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    if kind == "multistep":
        theirs = module.MultiStepRestartLR(optimizer, [3, 8, 8, 15], gamma=0.5, restarts=[10], restart_weights=[0.5])
        ours = MultiStepRestart(milestones=(3, 8, 8, 15), gamma=0.5, restarts=(10,), restart_weights=(0.5,))
    else:
        theirs = module.CosineAnnealingRestartLR(optimizer, [10, 15], restart_weights=[1, 0.5], eta_min=1e-7)
        ours = CosineRestart(periods=(10, 15), restart_weights=(1.0, 0.5), eta_min=1e-7)
    for step in range(25):
        assert abs(ours(2e-4, step) - optimizer.param_groups[0]["lr"]) < 1e-12, step
        optimizer.step()
        theirs.step()


@needs_basicsr
def test_twenty_updates_give_the_same_losses_and_weights():
    network = {"type": "MSRResNet", "num_feat": 8, "num_block": 2, "upscale": 2}
    options = {
        "num_gpu": 0, "is_train": True, "dist": False, "network_g": network, "path": {},
        "train": {
            "ema_decay": 0.9, "total_iter": 20, "warmup_iter": -1,
            "optim_g": {"type": "Adam", "lr": 1e-3, "betas": [0.9, 0.99]},
            "scheduler": {"type": "MultiStepLR", "milestones": [5, 12], "gamma": 0.5},
            "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
        },
    }  # fmt: skip
    torch.manual_seed(0)
    theirs = import_basicsr("models").build_model(options | {"model_type": "SRModel"})
    net = ARCHS.build("SRResNet", {"num_feat": 8, "num_block": 2}, scale=2)
    net.load_state_dict(theirs.net_g.state_dict())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.99))
    schedule, iteration = MultiStepRestart(milestones=(5, 12), gamma=0.5), Iteration()
    learner = Learner(net, optimizer, schedule, iteration=iteration, ema_decay=0.9)
    ours = SRModel(g=learner, criterion=Criterion({"pixel": L1Loss()}, {"pixel": 1.0}))
    # basicsr's schedules are a step ahead: it asks for the rate of the coming update before it, from 1.
    for step in range(20):
        generator = torch.Generator().manual_seed(step)
        batch: Batch = {
            "lq": torch.rand(2, 3, 12, 12, generator=generator),
            "gt": torch.rand(2, 3, 24, 24, generator=generator),
            "key": ["a", "b"],
        }
        theirs.feed_data(batch)
        theirs.optimize_parameters(step + 1)
        terms = ours.training_step(batch)
        assert abs(terms["pixel"].item() - theirs.log_dict["l_pix"]) < 1e-5, step
        iteration.number += 1
        theirs.update_learning_rate(step + 2)
    for key, value in theirs.net_g_ema.state_dict().items():
        torch.testing.assert_close(learner.inference_net.state_dict()[key], value, atol=1e-5, rtol=0)


@needs_basicsr
def test_a_network_of_basicsr_trains_and_tests_by_name(tmp_path, capsys):
    network = {
        "type": "basicsr/SwinIR", "embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8, "mlp_ratio": 2.0,
        "img_size": 16, "upsampler": "pixelshuffledirect", "resi_connection": "1conv",
    }  # fmt: skip
    options = training_options(tmp_path, network_g=network)
    del options["network_g"]["num_modules"]
    file = write_options(tmp_path / "swinir.yml", options)
    assert run_train(file, "train.total_iter=2") == 0
    weights = tmp_path / "experiments" / "run" / "models" / "net_g_2.safetensors"
    test = {"test": options["datasets"]["val"]}
    tested = {
        **options,
        "name": "tested",
        "datasets": test,
        "path": options["path"] | {"pretrain_network_g": str(weights)},
    }
    del tested["train"]
    assert run_test(write_options(tmp_path / "test.yml", tested)) == 0
    assert "basicsr/SwinIR x2" in capsys.readouterr().out
    options["network_g"]["windw_size"] = 8
    with pytest.raises(OptionsError, match="unknown option of basicsr/SwinIR; did you mean 'window_size'"):
        load_options(write_options(tmp_path / "typo.yml", options))


@needs_basicsr
def test_a_network_that_basicsr_does_not_have_is_named(tmp_path):
    options = training_options(tmp_path, network_g={"type": "basicsr/SwinIRR", "num_modules": None})
    with pytest.raises(OptionsError, match="the package basicsr has no network 'SwinIRR'; did you mean 'SwinIR'"):
        load_options(write_options(tmp_path / "x.yml", options))


def test_without_the_package_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == "basicsr"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "basicsr", None)
    options = training_options(tmp_path, network_g={"type": "basicsr/ECBSR", "num_modules": None})
    with pytest.raises(OptionsError, match="is not installed: pip install --no-deps --no-build-isolation basicsr"):
        load_options(write_options(tmp_path / "x.yml", options))


@needs_basicsr
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scale", [2, 4])
def test_initial_weights_have_the_same_distribution(name, scale):
    own_name, options = NETWORKS[name]
    options = {**options, "num_feat": 64 if name != "RCAN" else 32}
    ARCHS.reach(f"basicsr/{name}")
    torch.manual_seed(0)
    theirs = ARCHS.build(f"basicsr/{name}", {"num_in_ch": 3, "num_out_ch": 3, **options}, scale=scale).state_dict()
    ours = ARCHS.build(own_name, options, scale=scale).state_dict()
    for key, value in ours.items():
        spread, expected = (tensor.double().square().mean().sqrt().item() for tensor in (value, theirs[key]))
        # Eight standard errors of the deviation of a normal distribution, for the difference of two samples.
        assert abs(spread - expected) <= 8 * expected / math.sqrt(value.numel()), key
        if value.numel() > 500:  # the largest of so many normal values is far beyond a uniform distribution's
            largest, expected_largest = ((t.abs().max() / t.std()).item() for t in (value, theirs[key]))
            assert (largest > 2.2) == (expected_largest > 2.2), key
