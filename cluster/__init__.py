"""Who is there, and what links us."""
