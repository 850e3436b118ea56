"""What a channel does about the pressure of its consumers, as it is configured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .config_types import Name, Section
from .pressure import PRIORITY_MAX, PressurePolicy

__all__ = ["PressureConfig"]


class PressureConfig(Section):
    """What is done when the consumers of a channel at this node are that full; all that are reached apply."""

    at: Annotated[float, Field(gt=0, le=1)]
    """From which score on, above 0 and at most 1: the average of how full the inboxes of its subscriptions are."""
    slow: Annotated[float, Field(gt=1, le=1000, examples=[2.0])] | None = None
    """Hold publishers, at every node of the mesh, to one so-manieth of the rate that they had there."""
    shed_below: Annotated[int, Field(ge=1, le=PRIORITY_MAX + 1, examples=[5])] | None = None
    """Take nothing whose header ``liminal-priority`` is lower: 0 to 9, and 5 where there is none."""
    signal: Annotated[Name, Field(examples=["scale-out"])] | None = None
    """Note it as an event with this signal, for whoever adds consumers."""
    alert: Annotated[Literal["info", "warning", "error", "critical"], Field(examples=["critical"])] | None = None
    """Note it as an event of this severity."""

    @property
    def policy(self) -> PressurePolicy:
        """The same, as the channel takes it."""
        return PressurePolicy(self.at, self.slow, self.shed_below, self.signal, self.alert)

    @model_validator(mode="after")
    def _says_something(self) -> PressureConfig:
        if self.slow is None and self.shed_below is None and self.signal is None and self.alert is None:
            raise ValueError("does nothing: give it slow, shed_below, signal or alert")
        return self
