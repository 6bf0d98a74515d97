"""The option file: YAML in, frozen dataclasses out, every fault of a file reported at once with its line."""

from srzoo.options.load import LoadedOptions, load_architecture, load_chain, load_options
from srzoo.options.schema import Options
from srzoo.options.study import Study, StudyRun, StudyVariant, is_study, load_study
from srzoo.options.tree import OptionFault, OptionsError

__all__ = [
    "LoadedOptions",
    "OptionFault",
    "Options",
    "OptionsError",
    "Study",
    "StudyRun",
    "StudyVariant",
    "is_study",
    "load_architecture",
    "load_chain",
    "load_options",
    "load_study",
]
