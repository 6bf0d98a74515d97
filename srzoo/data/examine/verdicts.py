"""From the measurements of a dataset's images to findings: what counts, how badly, and what to do."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from srzoo.data.examine.compression import COMPRESSED
from srzoo.data.examine.findings import Case, Check, Finding, Severity
from srzoo.data.examine.kernels import EXACT, EXPLAINED, NAMES, better_kernel
from srzoo.data.examine.measure import Measurement

# Residual of the expected kernel from which a difference is one of borders and rounding alone [dB].
_NEARLY = 48.0
# Advice about GT of evaluation sets, which is not changed: scores would be those of another set.
_AS_IT_IS = "a published set stays as it is; in your own set, use better originals"


def findings_of(label: str, measured: Sequence[Measurement], kernel: str) -> list[Finding]:
    """Judge the measurements of one dataset.

    Args:
        label: "train", "val/NAME" or "test/NAME".
        measured: of its images; those that could not be read are left to the pre-flight.
        kernel: that LQ is expected to be made with.
    """
    usable = [one for one in measured if one.unreadable is None]
    training = label == "train"
    return [
        *_colours(label, usable),
        *_alignment(label, usable),
        *_kernels(label, usable, kernel),
        *_enlarged(label, usable, training),
        *_compression(label, usable, training),
        *_padded(label, usable),
    ]


def _finding(
    severity: Severity, check: Check, label: str, problem: str, advice: str, cases: Sequence[Case], of: int
) -> list[Finding]:
    return [Finding(severity, check, label, problem, advice, cases, of)] if cases else []


def _files(one: Measurement) -> tuple[Path, ...]:
    """Return the files of a pair, LQ first."""
    return tuple(path for path in (one.pair.lq, one.pair.gt) if path is not None)


def _colours(label: str, measured: Sequence[Measurement]) -> list[Finding]:
    orders = [(one, one.order) for one in measured if one.order is not None]
    swapped = [
        Case(
            _files(one),
            f"LQ is stored as {order.order}, which fits GT {order.gain:.1f} dB better than RGB",
            {"order": order.order, "gain_db": round(order.gain, 2)},
        )
        for one, order in orders
        if order.order != "RGB"
    ]
    lq_grey = [Case(_files(one)) for one, order in orders if order.lq_grey]
    gt_grey = [Case(_files(one)) for one, order in orders if order.gt_grey]
    swap_advice = "one of both was written in another order (OpenCV's arrays are BGR): write it again"
    grey_advice = "make LQ from GT again, or set `color: grey` if colours do not matter"
    return [
        *_finding("fault", "colours", label, "swapped colour order of LQ or GT", swap_advice, swapped, len(orders)),
        *_finding("warning", "colours", label, "LQ is grey and GT is coloured", grey_advice, lq_grey, len(orders)),
        *_finding("warning", "colours", label, "GT is grey and LQ is coloured", grey_advice, gt_grey, len(orders)),
    ]


def _alignment(label: str, measured: Sequence[Measurement]) -> list[Finding]:
    shifts = [(one, one.shift) for one in measured if one.shift is not None]
    cases = [
        Case(
            _files(one),
            f"LQ lies {shift.down:+.2f} down, {shift.right:+.2f} right of GT [GT pixels] (more than {shift.least:.2f} "
            f"counts at a peak of {shift.peak:.2f})",
            {name: round(value, 3) for name, value in shift._asdict().items()},
        )
        for one, shift in shifts
        if shift.counts
    ]
    advice = (
        "make LQ from GT again (srzoo data make-lr): image[::scale, ::scale] and corner-aligned filters move it; pairs "
        "of cameras need aligning"
    )
    return _finding("fault", "alignment", label, "LQ and GT are shifted against each other", advice, cases, len(shifts))


def _kernels(label: str, measured: Sequence[Measurement], expected: str) -> list[Finding]:
    known = [one for one in measured if one.residuals]
    found: list[Finding] = []
    others: dict[str, list[Measurement]] = {}
    for one in known:
        better = better_kernel(one.residuals, expected)
        if better is not None:
            others.setdefault(better, []).append(one)
    for kernel, concerned in others.items():
        cases = [_kernel_case(one, expected, kernel) for one in concerned]
        nearly = median(one.residuals[expected] for one in concerned) >= _NEARLY
        problem = f"LQ was made with {NAMES[kernel]}, not {NAMES[expected]}"
        problem += " (they differ at borders and by rounding)" if nearly else ""
        advice = f"make LQ again (srzoo data make-lr --kernel {expected}), or write `lq_kernel: {_named(kernel)}`"
        found += _finding("warning" if nearly else "fault", "kernel", label, problem, advice, cases, len(known))
    return found + _unexplained(label, known, expected)


def _unexplained(label: str, known: Sequence[Measurement], expected: str) -> list[Finding]:
    """Report LQ files that no kernel explains."""
    best = {one.pair.key: max(one.residuals, key=lambda name: one.residuals[name]) for one in known}
    unknown = [one for one in known if one.residuals[best[one.pair.key]] < EXPLAINED]
    cases = [_kernel_case(one, expected, best[one.pair.key]) for one in unknown]
    # Some files of a dataset that no kernel explains were changed after all; of most files, it is how the dataset is.
    if len(unknown) < len(known) / 2:
        problem = "no known kernel explains these LQ files, unlike the others"
        advice = "compare them with GT: were they compressed or edited?"
        return _finding("warning", "kernel", label, problem, advice, cases, len(known))
    problem = "no known kernel explains LQ: pairs of cameras, or LQ with blur, noise or compression"
    advice = "write `lq_kernel: other` if that is meant; bicubic LQ is made with srzoo data make-lr"
    return _finding("note", "kernel", label, problem, advice, cases, len(known))


def _named(kernel: str) -> str:
    """Return the value of `lq_kernel` for a kernel."""
    return "other" if kernel.startswith("opencv") else kernel


def _kernel_case(one: Measurement, expected: str, best: str) -> Case:
    parts = [f"{name} {one.residuals[name]:.1f} dB" for name in dict.fromkeys((expected, best))]
    text = ", ".join(parts).replace(f"{EXACT:.1f} dB", "exact")
    return Case(_files(one), text, {f"{name}_db": round(value, 2) for name, value in one.residuals.items()})


def _enlarged(label: str, measured: Sequence[Measurement], training: bool) -> list[Finding]:
    cliffs = [(one, one.cliff) for one in measured if one.cliff is not None]
    cases = [
        Case(
            (one.pair.main_file,),
            f"nothing above {cliff.place:.2f} of Nyquist, as if enlarged x{cliff.factor:g} (it falls by "
            f"{cliff.height:.1f} dB there; more than {cliff.least:.1f} counts)",
            {
                "nyquist": round(cliff.place, 3),
                "fall_db": round(cliff.height, 2),
                "least_db": cliff.least,
                "factor": cliff.factor,
            },
        )
        for one, cliff in cliffs
        if cliff.counts
    ]
    problem = "GT was enlarged or blurred: it has no fine detail"
    advice = "leave them out, or reduce them by the factor" if training else _AS_IT_IS
    return _finding("warning" if training else "note", "enlarged", label, problem, advice, cases, len(cliffs))


def _compression(label: str, measured: Sequence[Measurement], training: bool) -> list[Finding]:
    traces = [(one, one.compression) for one in measured if one.compression is not None]
    again: list[Case] = []
    stored: list[Case] = []
    for one, found in traces:
        text, values = "", {}
        if found.counts:
            text = f"steps of JPEG quality about {found.quality} on the 8x8 grid (strength {found.strength:.2f}; more "
            text += f"than {COMPRESSED:g} counts)"
            values = {"quality": found.quality, "strength": round(found.strength, 3), "least": COMPRESSED}
        case = Case((one.pair.main_file,), text, values)
        if one.stored_as == "JPEG":
            stored.append(case)
        elif found.counts:
            again.append(case)
    advice = "use their originals, or leave them out: a network learns the artefacts of GT" if training else _AS_IT_IS
    severity: Severity = "warning" if training else "note"
    problem = "GT was compressed as JPEG and saved again"
    return [
        *_finding(severity, "compression", label, problem, advice, again, len(traces)),
        *_finding("note", "compression", label, "GT is stored as JPEG", "", stored, len(traces)),
    ]


def _padded(label: str, measured: Sequence[Measurement]) -> list[Finding]:
    cases = [Case((one.pair.main_file,)) for one in measured if one.padded]
    problem, advice = "8 bits saved as 16", "nothing is lost; 8-bit files would be half as large"
    return _finding("note", "depth", label, problem, advice, cases, len(measured))
