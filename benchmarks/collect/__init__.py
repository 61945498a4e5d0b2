"""Collection against the stock `img2dataset` command on one server on loopback, and what refreshes and kills
cost."""
