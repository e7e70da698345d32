"""The page that compares systems: its charts, its pictures, its published figures and its template."""
