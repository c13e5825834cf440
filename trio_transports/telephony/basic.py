"""Basic authentication of a caller: what Exotel, Jambonz and others make of a user and password in the URL."""

from typing import final

from attrs import define, field

from .._documented import documented
from ..wire.peer import Peer
from ..wire.refusal import Refusal
from .handshake import is_one_of
from .hang_up import basic, text_field

_CHALLENGE = (("WWW-Authenticate", 'Basic realm="calls", charset="UTF-8"'),)


@documented
@final
@define(eq=False)
class BasicAuth:
    """Admits only upgrades with this user and password."""

    user: str = field(validator=text_field)
    """The name that callers give."""
    password: str = field(validator=text_field, repr=False)
    """The password that callers give. Use it over TLS only."""

    def __attrs_post_init__(self) -> None:
        if ":" in self.user:
            raise ValueError("BasicAuth.user must have no colon: the password begins at the first one")

    async def __call__(self, peer: Peer) -> Refusal | None:
        """None for a caller with this user and password, else the refusal."""
        scheme, _, credentials = (peer.header("Authorization") or "").partition(" ")
        if scheme.lower() == "basic" and is_one_of(credentials.strip(), (basic(self.user, self.password),)):
            return None
        return Refusal(status=401, body="no user and password of this server's", headers=_CHALLENGE)
