"""Building blocks of the option file: sections with fixed keys, and entries whose keys are those of a plugin.

An entry is a block with a ``type:``. The type names a registered plugin, and the signature of the plugin's constructor
is the schema of the other keys.
"""

import dataclasses
import functools
import inspect
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_type_hints

import pydantic
from pydantic_core import core_schema

from srzoo.registry import Registry, parameter_docs

# (family, type) of entries that are accepted with any options, because the plugin that knows them was not run.
loose_types: ContextVar[frozenset[tuple[str, str]]] = ContextVar("loose_types", default=frozenset())

_UNIT = re.compile(r"\s*\[([^\]]*)\]\.?$")


@dataclass(frozen=True)
class Field:
    """One option.

    Args:
        annotation: its type.
        default: ``inspect.Parameter.empty`` if it is required.
        doc: its meaning, with the unit in brackets at the end.
    """

    annotation: Any
    default: Any
    doc: str

    @property
    def required(self) -> bool:
        """True if the option has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def meaning(self) -> str:
        """Return the documentation without the unit."""
        return _UNIT.sub("", self.doc)

    @property
    def unit(self) -> str:
        """Return the unit, "" if there is none."""
        found = _UNIT.search(self.doc)
        return found.group(1) if found else ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A mapping with fixed keys; unknown ones are refused."""

    __pydantic_config__: ClassVar = pydantic.ConfigDict(extra="forbid")

    @classmethod
    def options(cls) -> Mapping[str, Field]:
        """Return the options of this section by name."""
        return dataclass_options(cls)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A block that names a plugin; subclasses add keys that belong to the framework.

    Args:
        type: registered name of the plugin.
        args: options of the plugin, complete with defaults.
    """

    registry: ClassVar[Registry[Any]]
    type: str
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def plugin(self) -> Any:
        """Return the registered class (or function), for its class attributes."""
        return self.registry[self.type]

    def build(self, **supplied: object) -> Any:
        """Construct the plugin with its options.

        Args:
            supplied: arguments of the framework (scale, phase, ...); the plugin gets those that its signature names.
        """
        return self.registry.build(self.type, self.args, **supplied)

    @classmethod
    def options(cls, type_name: str | None = None) -> dict[str, Field]:
        """Return the keys of a block: those of the framework, then those of the plugin if its type is known.

        Raises:
            ValueError: a parameter of the plugin is named like an option of the framework.
        """
        own = {name: option for name, option in dataclass_options(cls).items() if name != "args"}
        own["type"] = Field(
            Literal[tuple(cls.registry)], inspect.Parameter.empty, f"which {cls.registry.family} to use"
        )
        if type_name not in cls.registry:
            return own
        assert type_name is not None
        docs = parameter_docs(cls.registry[type_name])
        plugin = {
            name: Field(parameter.annotation, parameter.default, docs.get(name, ""))
            for name, parameter in cls.registry.parameters(type_name).items()
        }
        clash = own.keys() & plugin.keys()
        if clash:
            raise ValueError(
                f"{cls.registry.family} {type_name!r}: {', '.join(clash)} is an option of the framework; rename the "
                "parameter"
            )
        return own | plugin

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return a union over all plugins of the family, distinguished by `type`; see pydantic's custom types."""
        del source

        def member(name: str, extra: Literal["forbid", "allow"] = "forbid") -> core_schema.CoreSchema:
            fields = {}
            for key, option in cls.options(name).items():
                schema = handler.generate_schema(Literal[name] if key == "type" else option.annotation)
                if not option.required:
                    schema = core_schema.with_default_schema(schema, default=option.default, validate_default=True)
                metadata = {"pydantic_js_updates": {"description": option.doc}}
                fields[key] = core_schema.typed_dict_field(schema, required=option.required, metadata=metadata)
            return core_schema.typed_dict_schema(fields, extra_behavior=extra)

        def entry(values: dict[str, Any]) -> "Entry":
            own = {f.name: values.pop(f.name) for f in dataclasses.fields(cls) if f.name in values}
            return cls(**own, args=values)

        members = {name: member(name) for name in cls.registry.everyone()}
        members |= {name: member(name, "allow") for family, name in loose_types.get() if family == cls.registry.family}
        union = core_schema.tagged_union_schema(members, discriminator="type")
        return core_schema.no_info_after_validator_function(entry, union)


@functools.cache
def dataclass_options(cls: type) -> Mapping[str, Field]:
    """Return the fields of a dataclass by name, documented by its ``Args:``."""
    hints, docs = get_type_hints(cls, include_extras=True), parameter_docs(cls)
    options = {}
    for f in dataclasses.fields(cls):
        default = inspect.Parameter.empty if f.default is dataclasses.MISSING else f.default
        if f.default_factory is not dataclasses.MISSING:
            default = f.default_factory()
        options[f.name] = Field(hints[f.name], default, docs.get(f.name, ""))
    return options
