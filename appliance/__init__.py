"""Seedkeep keeps video channels alive: follow → plan → pin → seed → serve.

follow   a channel's listing becomes videos in the catalogue
plan     the world now and the owner's rules become decisions, each with its reasons
pin      what we hold is made to match the decisions, verified
seed     what we hold is given back within the household's budgets
serve    what we hold, or can read, plays on every screen

domain says what things are; policies what should be; store, swarm, library, outbound, host and lan
are the only ways out to SQLite, BitTorrent, the disk, HTTP, this machine and this network; web shows
it; house builds it all; daemon runs it; cli starts it.
"""
