"""The one door: identity, hazards, audit, and every service behind it."""
