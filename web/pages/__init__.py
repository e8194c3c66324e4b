"""Pages: HTML, one resource a file. Forms work without JavaScript: they are posted, taken, and led back by a 303.

show     what every page does        theatre  templates and their parts
entry    set-up, login, logout       home  channels  videos  rules  bandwidth  settings
"""
