"""The page for any bot, its client side, and the routes that serve both: browsers, phones and Pipecat's own clients."""

from .controls import Choice as Choice
from .controls import Slider as Slider
from .controls import Switch as Switch
from .routes import bot_routes as bot_routes
from .routes import routed as routed
from .start import StartTokens as StartTokens

__all__ = [
    "Choice",
    "Slider",
    "StartTokens",
    "Switch",
    "bot_routes",
    "routed",
]
