"""A bad network on loopback: a TCP proxy that does to a connection what networks do, the same way each time."""

from .plan import Bandwidth as Bandwidth
from .plan import Coalesce as Coalesce
from .plan import Corrupt as Corrupt
from .plan import Delay as Delay
from .plan import Direction as Direction
from .plan import Fault as Fault
from .plan import HalfClose as HalfClose
from .plan import Reset as Reset
from .plan import Split as Split
from .plan import Stall as Stall
from .proxy import FaultProxy as FaultProxy
from .proxy import open_fault_proxy as open_fault_proxy

__all__ = [
    "Bandwidth",
    "Coalesce",
    "Corrupt",
    "Delay",
    "Direction",
    "Fault",
    "FaultProxy",
    "HalfClose",
    "Reset",
    "Split",
    "Stall",
    "open_fault_proxy",
]
