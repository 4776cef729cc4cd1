"""How any of our services meets strangers over HTTP: its server, bodies and rate limits."""
