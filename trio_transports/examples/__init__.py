"""The five bots that people write first. Each is a handler called ``bot`` and runs by ``python -m`` with its name."""
