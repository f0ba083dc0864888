"""LXC's words: its configuration, its commands, its reports. A door like the others: above it stand the nouns."""
