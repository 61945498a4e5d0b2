"""Pictures that the server draws as SVG: graphs whose nodes are links, bars, curves."""
