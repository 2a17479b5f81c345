"""The gateway's routes. They translate between HTTP and the door, nothing more."""
