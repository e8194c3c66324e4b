"""Who may do what. Every request passes here before any other room of the web sees it.

areas     an address → what kind of place it is, and the scope it asks for (pure)
decide    the facts of a request → allowed, or why not (pure)
origin    Host, Origin and forwarding headers → whether they are ours (pure)
attempts  failed passwords and codes → how long to wait; requests → a light limit
keys      passwords, cookies, tokens: made, digested, checked
gate      the password, sessions and tokens that are in force
door      the ASGI wrapper that asks all of them
forms     a form's token, read before the form is
refusals  why not, in words, and where to go instead
headers   what every answer carries: policy headers, and CORS for players
"""
