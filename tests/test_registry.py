"""Names, signatures and plugins."""

import pytest

from srzoo.registry import (
    ARCHS,
    DATASETS,
    LOSSES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    SCHEDULERS,
    Registry,
    closest,
    load_plugin,
    parameter_docs,
)

FAMILIES = [ARCHS, LOSSES, METRICS, DATASETS, OPTIMIZERS, SCHEDULERS, MODELS]


def make() -> Registry:
    return Registry("thing", "srzoo.losses")


def test_a_second_registration_names_both_modules():
    registry = make()

    def first(*, a: int) -> int:
        return a

    registry.register(first, "one")
    with pytest.raises(ValueError, match=rf"registered twice: by {__name__} and by {__name__}"):
        registry.register(first, "one")


def test_loose_signatures_are_refused_with_every_fault():
    def loose(positional: int, *, untyped, **rest: int) -> None: ...

    with pytest.raises(ValueError, match="positional") as error:
        make().register(loose)
    assert "untyped: no annotation" in str(error.value)
    assert "rest" in str(error.value)


def test_positional_parameters_are_refused_with_the_line_to_write():
    class Loose:
        def __init__(self, num_in_ch=3, upscale=4, act="prelu", norm=list, depths=(6, 6), mode=None, **kwargs):
            pass

    with pytest.raises(ValueError, match="positional") as error:
        ARCHS.register(Loose)
    line = (
        "write `def __init__(self, *, num_in_ch: int = 3, upscale: int = 4, act: str = 'prelu', "
        "norm: TYPE = list, depths: tuple = (6, 6), mode: TYPE = None) -> None:`; the framework supplies the "
        "magnification as `scale`: rename `upscale`"
    )
    assert str(error.value).endswith(line)

    def function(width: "int", scale, /) -> None: ...

    with pytest.raises(ValueError, match=r"write `def function\(\*, width: int, scale: int\):`$"):
        make().register(function)


@pytest.mark.parametrize("brackets", [{}, {"name": "MyNet"}])
def test_a_decorator_with_brackets_is_refused_with_the_line_to_write(brackets):
    with pytest.raises(ValueError, match=r"write `@ARCHS\.register` without brackets"):
        ARCHS.register(**brackets)
    with pytest.raises(ValueError, match=r"`@LOSSES\.register` without brackets; the class.s own name, not .my."):
        LOSSES.register("my")


def test_unknown_names_answer_with_close_ones():
    with pytest.raises(LookupError, match="unknown network 'IMDNN'; did you mean 'IMDN'"):
        ARCHS["IMDNN"]
    assert closest("zzz", ["b", "a"]) == "known: a, b"


def test_discovery_finds_every_built_in_family():
    for family in FAMILIES:
        assert list(family)


@pytest.mark.parametrize(
    ("family", "name"), [(f, n) for f in FAMILIES[:-1] for n in f],
    ids=lambda value: value if isinstance(value, str) else value.family,
)  # fmt: skip
def test_every_option_of_a_plugin_is_explained(family, name):
    docs = parameter_docs(family[name])
    for parameter in family.parameters(name):
        assert docs.get(parameter), f"{name}: `{parameter}` is missing in the Args: section"


def test_supplied_arguments_are_not_options():
    assert "scale" not in ARCHS.parameters("IMDN")
    assert "phase" not in DATASETS.parameters("PairedImages")


def test_parameter_docs_join_lines():
    class Documented:
        """Words.

        Args:
            first: one
                two.
            second: three [units].

        Raises:
            ValueError: never.
        """

    assert parameter_docs(Documented) == {"first": "one two.", "second": "three [units]."}


def test_a_plugin_that_fails_to_import_shows_its_own_error(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module_at_all\n")
    with pytest.raises(ValueError, match=r"broken.py failed to import: ModuleNotFoundError: No module named 'no_such"):
        load_plugin(broken)
    with pytest.raises(FileNotFoundError, match=r"missing\.py does not exist"):
        load_plugin(tmp_path / "missing.py")
