"""Which artifacts there are and how they hang together: names, states, graphs, what is out of date."""
