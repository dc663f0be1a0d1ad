"""What is remembered: an append-only ledger with a hash chain per campaign, and caches, behind one Store."""
