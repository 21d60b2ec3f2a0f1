"""The cluster as the rest sees it: client and allow-list, compact objects, reflectors, the mirror, owner chains."""
