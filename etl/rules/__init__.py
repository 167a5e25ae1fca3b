"""Rules: layer kind -> who meets whom."""
