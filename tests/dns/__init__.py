"""A small DNS server for tests: a process of its own, whose answers change while it runs."""
