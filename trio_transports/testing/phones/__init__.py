"""Scripted phones and a scripted browser: the other end of a call, for a test or a command line to play."""

from .call import Bot as Bot
from .call import phone_call as phone_call
from .dialled import phone_at as phone_at
from .hang_up import FakeHangUp as FakeHangUp
from .hang_up_api import HangUpApi as HangUpApi
from .hang_up_api import hang_up_api as hang_up_api
from .line import PhoneLine as PhoneLine
from .line import ScriptedLine as ScriptedLine
from .lines import LINES as LINES
from .lines import line_named as line_named
from .orders import ClearOrder as ClearOrder
from .orders import EndOrder as EndOrder
from .orders import MarkOrder as MarkOrder
from .orders import Order as Order
from .orders import OtherOrder as OtherOrder
from .orders import PlayOrder as PlayOrder
from .orders import TextOrder as TextOrder
from .phone import ScriptedPhone as ScriptedPhone
from .serializer import CallerSerializer as CallerSerializer
from .sounds import speech_like as speech_like

__all__ = [
    "LINES",
    "Bot",
    "CallerSerializer",
    "ClearOrder",
    "EndOrder",
    "FakeHangUp",
    "HangUpApi",
    "MarkOrder",
    "Order",
    "OtherOrder",
    "PhoneLine",
    "PlayOrder",
    "ScriptedLine",
    "ScriptedPhone",
    "TextOrder",
    "hang_up_api",
    "line_named",
    "phone_at",
    "phone_call",
    "speech_like",
]
