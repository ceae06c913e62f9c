"""From trained networks to rows: metrics, bias corrections, cost. The one time that the test set is used."""
