"""`srzoo profile`: networks named in every way, side by side, as table, JSON, Markdown and plot."""

import json
import sys
import types

import pytest
import torch

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.registry import ARCHS
from srzoo.weights import save_weights
from tests.support import ROOT, write_options


def profile(*words):
    arguments = parse(["profile", *map(str, words)])
    return execute(arguments.run, arguments)


def networks_in(path):
    return json.loads(path.read_text())["networks"]


def test_networks_named_in_every_way_side_by_side(tmp_path, capsys):
    file = write_options(tmp_path / "x.yml", {"name": "mine", "scale": 2, "network_g": {"type": "IMDN_RTC"}})
    net = ARCHS.build("RT4KSR", {}, scale=2)
    save_weights(tmp_path / "rt4ksr.safetensors", net, {})
    out, table = tmp_path / "costs.json", tmp_path / "costs.md"
    words = ["-opt", file, "--weights", tmp_path / "rt4ksr.safetensors", "--arch", "IMDN", "--scale", 4]
    assert profile(*words, "--no-latency", "--input", "ntire", "--json", out, "--markdown", table) == 0
    mine, rt4ksr, imdn = networks_in(out)
    assert [each["name"] for each in (mine, rt4ksr, imdn)] == ["mine", "rt4ksr", "IMDN_x4"]
    assert (imdn["params"], imdn["multiply_adds"], imdn["conv_calls"]) == (715176, 46519028736, 46)
    assert (rt4ksr["params"], rt4ksr["params_deployed"], rt4ksr["multiply_adds"]) == (129072, 39312, 637009920)
    assert mine["input"] == [1, 3, 256, 256]
    content = json.loads(out.read_text())
    assert content["conditions"] is None
    assert "speed" not in mine
    printed = capsys.readouterr().out
    assert "46.52 G" in printed
    assert "one multiply-add counts as 1" in printed
    assert "| IMDN_x4 | 715,176 | 715,176 | 46.52 G |" in table.read_text()
    assert "p50" not in printed


def test_the_input_is_width_by_height(tmp_path):
    out = tmp_path / "costs.json"
    for text, shape in {"1280x720": [1, 3, 720, 1280], "720p": [1, 3, 720, 1280], "960x540": [1, 3, 540, 960]}.items():
        assert profile("--arch", "IMDN_RTC", "--scale", 2, "--input", text, "--no-latency", "--json", out) == 0
        assert networks_in(out)[0]["input"] == shape
    with pytest.raises(SystemExit):
        profile("--arch", "IMDN_RTC", "--scale", 2, "--input", "0x3")


def test_options_of_a_network_are_overridden_and_checked(tmp_path, capsys):
    out = tmp_path / "costs.json"
    words = ["--arch", "IMDN", "--scale", 4, "--input", "8x8", "--no-latency", "--json", out]
    assert profile(*words, "--set", "network_g.num_modules=1") == 0
    assert networks_in(out)[0]["params"] < 715176
    assert profile(*words, "--set", "network_g.num_module=1") == 2
    assert "did you mean 'num_modules'" in capsys.readouterr().err


def test_latency_comes_with_its_conditions(tmp_path, capsys):
    out = tmp_path / "costs.json"
    words = ["--arch", "RT4KSR", "--scale", 2, "--input", "16x12", "--device", "cpu", "--runs", 3]
    assert profile(*words, "--precision", "bf16", "--json", out) == 0
    content = json.loads(out.read_text())
    assert content["conditions"]["precision"] == "bfloat16"
    assert content["conditions"]["torch"] == torch.__version__
    speed = content["networks"][0]["speed"]
    assert 0 < speed["latency_p50_ms"] <= speed["latency_p95_ms"]
    assert speed["runs"] == 3
    assert "deployed (re-parameterised blocks merged)" in capsys.readouterr().out


def test_the_deployed_form_is_timed(monkeypatch):
    from srzoo.analysis.profile import runner
    from srzoo.layers import reparam

    net = ARCHS.build("RT4KSR", {}, scale=2)
    monkeypatch.setattr(reparam.ResidualRepBlock, "branches", None)  # the training form
    lq = torch.rand(1, 3, 8, 8)
    half = runner(net, device=torch.device("cpu"), precision="bf16")(lq)
    assert half.dtype == torch.bfloat16


def test_another_program_runs_the_deployed_network(monkeypatch, tmp_path):
    asked = []

    def runtime_network(net, backend, device):
        asked.append((backend, device, sum(p.numel() for p in net.parameters())))
        return net

    module = types.ModuleType("srzoo.export.runtimes")
    module.__dict__["runtime_network"] = runtime_network
    monkeypatch.setitem(sys.modules, "srzoo.export", types.ModuleType("srzoo.export"))
    monkeypatch.setitem(sys.modules, "srzoo.export.runtimes", module)
    words = ["--arch", "RT4KSR", "--scale", 2, "--input", "16x12", "--device", "cpu", "--runs", 2]
    out = tmp_path / "costs.json"
    assert profile(*words, "--backend", "openvino", "--json", out) == 0
    assert asked == [("openvino", "cpu", 39312)]
    assert json.loads(out.read_text())["conditions"]["program"] == "openvino"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "no network: name one with -opt FILE"),
        ("--arch IMDN", "come in pairs"),
        ("--scale 4 --arch IMDN", "come in pairs"),
        ("--arch IMDM --scale 4", "did you mean 'IMDN'"),
        ("--arch IMDN --scale 4 --pressure --no-latency", "remove one of them"),
        ("--arch IMDN --scale 4 --backend openvino --compile", "they do nothing with --backend openvino"),
        ("--arch IMDN --scale 4 --plot x.png", "--plot draws"),
        ("--arch IMDN --scale 4 --runs 1", "--runs must be at least 2"),
        ("--arch IMDN --scale 4 --pressure --plot x.gif", "ends in .png, .pdf, .svg, got x.gif"),
        ("--arch IMDN --scale 4 --json .", ". is a folder: name a file"),
        ("--arch IMDN --scale 4 --markdown /dev/null/x.md", "/dev/null is a file, and a folder is needed for x.md"),
    ],
)
def test_contradictions_are_refused(words, message, capsys):
    assert profile(*words.split()) == 2
    assert message in capsys.readouterr().err


def test_an_uncountable_network_ends_the_command_by_name(tmp_path, capsys):
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "from torch import Tensor, nn\n"
        "from srzoo.registry import ARCHS\n"
        "@ARCHS.register\n"
        "class Fourier(nn.Module):\n"
        "    def __init__(self, *, scale: int) -> None:\n"
        "        super().__init__()\n"
        "    def forward(self, lq: Tensor) -> Tensor:\n"
        "        return torch.fft.irfft2(torch.fft.rfft2(lq), lq.shape[-2:])\n"
    )
    options = {"name": "f", "scale": 1, "plugins": [str(tmp_path / "net.py")], "network_g": {"type": "Fourier"}}
    assert profile("-opt", write_options(tmp_path / "f.yml", options)) == 2
    assert "multiply-adds of aten::_fft" in capsys.readouterr().err


def test_pressure_and_its_plot(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    from srzoo.analysis import speed

    monkeypatch.setattr(speed.pressure_test, "__kwdefaults__", {"sides": (8, 16), "limit": 10.0})
    out, plot, table = tmp_path / "p.json", tmp_path / "p.png", tmp_path / "p.md"
    words = ["--arch", "IMDN_RTC", "--scale", 2, "--arch", "IMDN_RTC", "--scale", 2, "--pressure"]
    assert profile(*words, "--json", out, "--plot", plot, "--markdown", table, "--device", "cpu") == 0
    pressure = json.loads(out.read_text())["pressure"]
    assert list(pressure) == ["IMDN_RTC_x2 (1)", "IMDN_RTC_x2 (2)"]
    assert [each["side"] for each in pressure["IMDN_RTC_x2 (1)"]] == [8, 16]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "| 16x16 |" in table.read_text()
    assert "16x16" in capsys.readouterr().out


def test_the_table_shows_that_a_network_costs_nothing(capsys):
    assert profile("--arch", "Bicubic", "--scale", 2, "--no-latency") == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert head.split() == ["network", "parameters", "deployed", "multiply-adds"]
    assert row.split() == ["Bicubic_x2", "0", "0", "0"]


def test_quality_against_cost_from_result_files(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    files = []
    for modules, score in ((1, 30.0), (2, 31.0)):
        network = {"type": "IMDN_RTC", "scale": 2, "num_modules": modules}
        files.append(tmp_path / f"{modules}.json")
        files[-1].write_text(json.dumps({"dataset": "Set5", "network": network, "mean": {"psnr": score, "ssim": 0.9}}))
    out, plot = tmp_path / "q.json", tmp_path / "q.svg"
    words = ["--results", *files, "--no-latency", "--input", "16x16"]
    assert profile(*words, "--json", out, "--plot", plot) == 0
    assert f"wrote {out}, {plot}" in capsys.readouterr().out
    few, many = networks_in(out)
    assert few["quality"] == {"Set5 psnr": 30.0, "Set5 ssim": 0.9}
    assert few["params"] < many["params"]
    assert b"<svg" in plot.read_bytes()
    assert profile(*words, "--plot", tmp_path / "q.xyz") == 2
    assert "ends in .png" in capsys.readouterr().err
    files[0].write_text("{}")
    assert profile(*words) == 2
    assert "is not a result file" in capsys.readouterr().err


def test_shipped_option_files_are_enough(tmp_path):
    out = tmp_path / "costs.json"
    files = sorted((ROOT / "options" / "test").glob("rt4ksr/*_x2.yml"))[:1]
    assert profile("-opt", *files, "--no-latency", "--input", "32x32", "--json", out) == 0
    assert networks_in(out)[0]["type"] == "RT4KSR"


def test_a_misspelt_network_is_named_by_the_command_line_and_no_file(capsys):
    assert profile("--arch", "IMDM", "--scale", "4", "--no-latency") == 2
    said = capsys.readouterr().err
    assert "--arch: network_g: unknown network 'IMDM'; did you mean 'IMDN'?" in said
    assert ".yml" not in said
