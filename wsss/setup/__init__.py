"""Settings for pictures of one's own, from a look at them: what ``wsss init`` decides and writes."""
