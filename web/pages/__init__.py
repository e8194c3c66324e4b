"""Pages: HTML, one resource a file. Forms work without JavaScript: they are posted, taken, and led back by a 303.

show     what every page does        theatre  templates and their parts        errors   what goes wrong, as a page
entry    set-up, login, logout       home     channels  videos  rules  bandwidth  settings
"""

from web.pages import bandwidth, channels, entry, home, rules, settings, videos
from web.pages.errors import error_page

routes = [
    *entry.routes,
    *home.routes,
    *channels.routes,
    *videos.routes,
    *rules.routes,
    *bandwidth.routes,
    *settings.routes,
]

__all__ = ["error_page", "routes"]
