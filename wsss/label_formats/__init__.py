"""Label maps in the forms of other tools: annotation programs, and readers of their data sets."""
