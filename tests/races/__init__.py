"""Every race between nodes, constructed: a test for each rule and each property, and the naive models."""
