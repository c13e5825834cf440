"""In which group a process reads the stored messages: its own, or one that shares them between several."""

from typing import final

from attrs import frozen


@final
@frozen(kw_only=True)
class Group:
    name: str
    consumer: str
    """The process that reads; where the group has its name it is nobody else's."""
    claim_idle_s: float
    """After how long in a shared group what another reader left lying is taken over."""

    @property
    def is_shared(self) -> bool:
        return self.name != self.consumer
