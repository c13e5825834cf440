"""Telephone providers beside the audio: ending a call, knowing who calls, and the documents that make them call."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
    from .answers import exoml as exoml
    from .answers import ncco as ncco
    from .answers import plivo_xml as plivo_xml
    from .answers import relay_twiml as relay_twiml
    from .answers import texml as texml
    from .answers import twiml as twiml
    from .azure import AzureHangUp as AzureHangUp
    from .basic import BasicAuth as BasicAuth
    from .genesys import GenesysSignature as GenesysSignature
    from .genesys import genesys_signature as genesys_signature
    from .hang_up import EndedCall as EndedCall
    from .hang_up import HangUpFailed as HangUpFailed
    from .plivo import PlivoHangUp as PlivoHangUp
    from .plivo import PlivoSignature as PlivoSignature
    from .plivo import plivo_signature as plivo_signature
    from .telnyx import TelnyxHangUp as TelnyxHangUp
    from .telnyx import TelnyxToken as TelnyxToken
    from .twilio import TwilioHangUp as TwilioHangUp
    from .twilio import TwilioSignature as TwilioSignature
    from .twilio import twilio_signature as twilio_signature
    from .vonage import VonageJWT as VonageJWT

__all__ = [
    "AzureHangUp",
    "BasicAuth",
    "EndedCall",
    "GenesysSignature",
    "HangUpFailed",
    "PlivoHangUp",
    "PlivoSignature",
    "TelnyxHangUp",
    "TelnyxToken",
    "TwilioHangUp",
    "TwilioSignature",
    "VonageJWT",
    "exoml",
    "genesys_signature",
    "ncco",
    "plivo_signature",
    "plivo_xml",
    "relay_twiml",
    "texml",
    "twilio_signature",
    "twiml",
]

if not TYPE_CHECKING:  # to a type checker an unknown name is unknown
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".answers": "exoml ncco plivo_xml relay_twiml texml twiml",
            ".azure": "AzureHangUp",
            ".basic": "BasicAuth",
            ".genesys": "GenesysSignature genesys_signature",
            ".hang_up": "EndedCall HangUpFailed",
            ".plivo": "PlivoHangUp PlivoSignature plivo_signature",
            ".telnyx": "TelnyxHangUp TelnyxToken",
            ".twilio": "TwilioHangUp TwilioSignature twilio_signature",
            ".vonage": "VonageJWT",
        },
    )
