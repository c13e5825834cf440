"""Fixtures of the tests that need a Redis server."""

from tests.real.bus.servers import durable_redis as durable_redis
from tests.real.bus.servers import redis_server as redis_server
