"""Keeper and launcher: the two small processes that make containers and stay with them.

    client ── socket ──► launcher ── clone3 ──► child (inside)
                            │ ▲                    │
                       holds│ │exits               │ its parent is
                            ▼ │                    ▼
                          keeper ◄─────────────────┘

The keeper is the parent of the launcher and, by CLONE_PARENT, of every container: it alone learns how they end. It also holds
the descriptors that must not be lost. If the launcher is killed, the keeper forks a new one, which inherits all of it.
"""
