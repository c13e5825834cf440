"""The load: one process, one thread, no framework, so that what is measured is the server.

It speaks just enough WebSocket over epoll, checks every byte that comes back, and takes arrival times from the kernel
(``SO_TIMESTAMPNS``), so that its own lateness does not enter a round trip or a gap.
"""
