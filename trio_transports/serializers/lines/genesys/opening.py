"""What an ``open`` message asks for and says: which of its media is taken, whether there is a call, and who calls.

Rules: 1 and 2 of ``genesys.serializer``.
"""

from ....frames import StartFrame
from ..messages import CALLER
from .audio import AGENT, EXTERNAL, RATE
from .messages import Offer, OpenParameters


def chosen(offers: tuple[Offer, ...], *, encodings: tuple[str, ...], tracks: tuple[str, ...]) -> Offer | None:
    """The offer that is taken: with the wanted channels alone, or with them too, or any that is known."""
    known = [
        offer
        for offer in offers
        if offer.format in encodings
        and offer.rate == RATE
        and offer.type == "audio"
        and offer.channels in ((EXTERNAL,), (AGENT,), (EXTERNAL, AGENT))
    ]
    wanted = tuple(channel for channel, track in ((EXTERNAL, CALLER), (AGENT, AGENT)) if track in tracks)
    exact = [offer for offer in known if offer.channels == wanted]
    enough = [offer for offer in known if set(wanted) <= set(offer.channels)]
    return next(iter([*exact, *enough, *known]), None)


def why_none(offers: tuple[Offer, ...], encodings: tuple[str, ...]) -> str:
    formats = ", ".join(f"{each.format[:20]!a} at {each.rate}" for each in offers[:5]) or "nothing"
    return f"{formats} is offered, and {' or '.join(encodings)} at {RATE} can be taken"


def is_probe(told: OpenParameters) -> bool:
    """Whether the connection is only tried, with no call behind it."""
    return _is_nobody(told.conversation_id) or (told.participant is not None and _is_nobody(told.participant.id))


def _is_nobody(identity: str | None) -> bool:
    return identity is not None and identity != "" and not identity.strip("0-")


def start_of(told: OpenParameters, session_id: str) -> StartFrame:
    participant = told.participant
    parameters = {
        "organizationId": told.organization_id,
        "conversationId": told.conversation_id,
        "language": told.language,
        "customConfig": told.custom_config,
        "inputVariables": told.input_variables,
        "aniName": None if participant is None else participant.ani_name,
    }
    return StartFrame(
        stream_id=session_id,
        call_id=told.conversation_id,
        account_id=told.organization_id,
        from_number=None if participant is None else participant.ani,
        to_number=None if participant is None else participant.dnis,
        audio_in_sample_rate=RATE,
        audio_out_sample_rate=RATE,
        parameters={name: value for name, value in parameters.items() if value is not None},
    )
