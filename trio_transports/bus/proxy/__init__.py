"""Two workers joined by a WebSocket: the dialling side, the accepting side, and a server for many."""
