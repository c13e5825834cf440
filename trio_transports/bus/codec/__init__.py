"""Bus messages as bytes: Pipecat's JSON, and audio in binary between two peers of this library."""
