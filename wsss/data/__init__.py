"""Data sets: their listings and checks, the generated sample, and what training reads from them."""
