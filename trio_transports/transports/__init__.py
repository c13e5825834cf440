"""The ways in: each makes a wire, hands it to a session, and tells what happens."""
