"""Speaks over HTTP to agents and to HopX's control plane. The only part that imports httpx."""
