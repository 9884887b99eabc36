"""What every part of the configuration shares: frozen models that refuse unknown keys and loose types."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the configuration: frozen, no unknown keys, no silent conversion; its docstring documents it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
