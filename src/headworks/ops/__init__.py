"""What keeps runs in order and people informed: leases, breakers, alerts, freshness, maintenance, the account."""
