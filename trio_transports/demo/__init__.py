"""A page with a microphone, an echo bot behind it, and a look at what happens in between."""
