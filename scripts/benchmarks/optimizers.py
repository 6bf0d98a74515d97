"""Adam's update in its plain, foreach and fused forms; medians of interleaved runs.

python scripts/benchmarks/optimizers.py
"""

import statistics
import sys
import time
from collections.abc import Mapping

import torch

from srzoo.registry import ARCHS, OPTIMIZERS

RUNS = 11
FORMS: Mapping[str, dict[str, bool]] = {
    "plain": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sys.stdout.write(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads\n")
    for name in ("IMDN", "SRResNet", "DRCT"):
        optimizers, weights = {}, {}
        for form, options in FORMS.items():
            torch.manual_seed(0)
            net = ARCHS.build(name, {}, scale=4).to(device)
            for parameter in net.parameters():
                parameter.grad = torch.randn_like(parameter)
            weights[form] = list(net.parameters())
            optimizers[form] = OPTIMIZERS.build("Adam", {"lr": 1e-4, **options}, params=net.parameters())
        times: dict[str, list[float]] = {form: [] for form in FORMS}
        for run in range(RUNS + 2):
            for form, optimizer in optimizers.items():
                start = time.perf_counter()
                optimizer.step()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if run >= 2:  # after the warm-up
                    times[form].append(time.perf_counter() - start)
        pairs = zip(weights["plain"], weights["fused"], strict=True)
        difference = max((plain - fused).abs().max().item() for plain, fused in pairs)
        assert difference < 1e-6, f"{name}: forms differ by {difference}"
        medians = {form: 1000 * statistics.median(seconds) for form, seconds in times.items()}
        line = "   ".join(f"{form} {milliseconds:6.1f} ms" for form, milliseconds in medians.items())
        ratio = min(medians["plain"], medians["foreach"]) / medians["fused"]
        sys.stdout.write(f"{name:9} x4   {line}   ratio {ratio:.1f}   (difference {difference:.0e})\n")


if __name__ == "__main__":
    main()
