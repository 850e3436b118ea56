"""The bus that each node runs."""
