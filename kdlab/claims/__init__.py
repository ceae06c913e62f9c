"""Judge an experiment's claims: rows in, verdicts out. Reports call it; it needs no torch."""
