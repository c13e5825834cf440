"""Serving a bot: the app with its page, parameters from a file, and several processes behind one address."""
