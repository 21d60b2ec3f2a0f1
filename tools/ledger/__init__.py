"""What must survive a crash: requests, incidents, intents and outcomes, budgets, locks, approvals, the audit trail.

Others use `ledger.Ledger` and the values of `records`.
"""
