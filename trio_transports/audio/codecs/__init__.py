"""Codes in which the audio of a line travels, each direction by a value of its own."""

from .codec import Decoder as Decoder
from .codec import Encoder as Encoder
from .codec import encoding_of as encoding_of
from .codec import make_decoder as make_decoder
from .codec import make_encoder as make_encoder
