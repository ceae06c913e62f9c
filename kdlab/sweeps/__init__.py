"""How the jobs of a sweep are run: side by side on one machine (`pool`), and what happens when all have ended."""
