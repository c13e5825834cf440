"""Programs to start from, each run by the tests: the five bots that people write first, and bots behind a bus.

The first five are handlers called ``bot``, and run by ``python -m`` with their name.
"""
