"""The calls of a frame worker: which are under way, whose handlers run, and whose names are known.

Rules
1. A name is free from the end of its call for the other side on, while the handler may still be running: the caller may
   come back with a call of the same name.
2. Of a caller that begins with a ``StartFrame`` what else comes without one is the rest of a call that is over. The
   latest ``MAX_ANNOUNCED`` of them are remembered.
"""

from collections import OrderedDict, deque
from typing import Final, final

from attrs import define, field
from trio.lowlevel import ParkingLot

from ..frames import CancelFrame, EndFrame, Frame, StartFrame
from .bridged_call import BridgedCall

MAX_ANNOUNCED: Final = 4096


@final
@define(eq=False)
class Calls:
    """Of one worker."""

    _by_name: dict[str, BridgedCall] = field(factory=dict, init=False)
    _handled: set[BridgedCall] = field(factory=set, init=False)
    """Calls whose handler runs or is about to, among them some that are over for the other side."""
    _announced: OrderedDict[str, None] = field(factory=OrderedDict, init=False)
    _begun: deque[BridgedCall] = field(factory=deque, init=False)
    """Those whose handler is to be started."""
    _begins: ParkingLot = field(factory=ParkingLot, init=False)

    @property
    def under_way(self) -> tuple[BridgedCall, ...]:
        return tuple(self._by_name.values())

    @property
    def handlers(self) -> int:
        """How many handlers run or are about to."""
        return len(self._handled)

    def of(self, name: str) -> BridgedCall | None:
        """The call of that name; None once it is over."""
        return self._by_name.get(name)

    def may_begin(self, name: str, frame: Frame) -> bool:
        """Whether a frame of somebody without a call begins one; rule 2."""
        if not isinstance(frame, StartFrame):
            return name not in self._announced and not isinstance(frame, EndFrame | CancelFrame)
        self._announced[name] = None
        if len(self._announced) > MAX_ANNOUNCED:
            self._announced.popitem(last=False)
        return True

    def begin(self, call: BridgedCall) -> None:
        """Note a call, and wake whoever waits for one."""
        self._by_name[call.id] = call
        self._handled.add(call)
        self._begun.append(call)
        self._begins.unpark_all()

    async def one_begins(self) -> None:
        """Wait until there may be something for ``next_begun`` to give."""
        await self._begins.park()

    def next_begun(self) -> BridgedCall | None:
        """The next whose handler is to be started."""
        return self._begun.popleft() if self._begun else None

    def over(self, call: BridgedCall) -> None:
        """The call is over for the other side; rule 1."""
        if self._by_name.get(call.id) is call:
            del self._by_name[call.id]
        call._over()

    def handled(self, call: BridgedCall) -> None:
        """Its handler has returned."""
        self.over(call)
        call._shut()
        self._handled.discard(call)
