"""Programs to start from, each typed and run by the tests: ``python -m trio_transports.examples`` lists them.

The bots are handlers called ``bot``. ``python -m`` with a program's name runs it, and most can be given to
``trio-transports serve`` as well.
"""
