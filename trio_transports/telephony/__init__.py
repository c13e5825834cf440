"""Telephone providers beside the audio: ending a call through their interfaces, and knowing their callers."""

from .hang_up import HangUpFailed as HangUpFailed
from .hang_up import PlivoHangUp as PlivoHangUp
from .hang_up import TelnyxHangUp as TelnyxHangUp
from .hang_up import TwilioHangUp as TwilioHangUp
from .twilio_signature import TwilioSignature as TwilioSignature
from .twilio_signature import twilio_signature as twilio_signature
