"""Methods that make class maps of stored views: a module each, listed in the registry."""
