"""Sweeps: run the jobs side by side on one machine (`pool`), and report when all have ended."""
