"""What runs record about themselves: the report, the account, the ledger."""
