"""What every dialling side shares: from an address to a connection, how often to try again, and when to give up."""

from .address import Address as Address
from .attempts import Attempts as Attempts
from .dialler import Dialler as Dialler
from .dialler import dial as dial
from .redialler import Redialler as Redialler
from .redialler import is_final as is_final
