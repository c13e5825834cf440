"""What every dialling side shares: how often to try again, and when to give up."""

from .attempts import Attempts as Attempts
