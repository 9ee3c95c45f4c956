"""Qt: the dock and its parts. They show the session's state and emit intents; they keep no state of their own."""

from __future__ import annotations
