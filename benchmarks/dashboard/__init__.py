"""How fast the dashboard's pages are over a store of a thousand results and a million rows."""
