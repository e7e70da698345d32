"""The configuration: what may be set, what it means, what is set where nothing is said, and reading it."""
