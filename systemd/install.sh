#!/bin/sh
# Installs Seedkeep as a service from this clone; run again, it updates. Remove with: install.sh --remove
# Makes /opt/seedkeep (the program), /var/lib/seedkeep (data, made by systemd), /etc/seedkeep/seedkeep.env (settings).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
program=/opt/seedkeep
unit=/etc/systemd/system/seedkeep.service

say() { printf '%s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "This writes below /opt and /etc: run it with sudo."
command -v systemctl >/dev/null || fail "There is no systemd here. Use docker/ or make run."

if [ "${1:-}" = --remove ]; then
    systemctl disable --now seedkeep 2>/dev/null || true
    rm -f "$unit"
    rm -rf "$program"
    systemctl daemon-reload
    say "Removed. Data and settings stay in /var/lib/seedkeep and /etc/seedkeep; the user seedkeep stays too."
    exit 0
fi
[ $# = 0 ] || fail "Usage: install.sh [--remove]"

# The wheel is made in the clone, with the bundle of the front end inside, as the clone's owner where that is not root.
owner=$(stat -c %U "$here")
if [ "$owner" = root ] || ! command -v runuser >/dev/null; then
    make -C "$here" wheel
else
    runuser -u "$owner" -- make -C "$here" wheel
fi
wheel=$(ls -t "$here"/dist/seedkeep-*.whl | head -n 1)

id seedkeep >/dev/null 2>&1 || useradd --system --user-group --home-dir /var/lib/seedkeep --shell /usr/sbin/nologin seedkeep

# The interpreter is the system's own, which every user can read; the clone's may be in somebody's home.
base=$("$here/.venv/bin/python" -c 'import sys; print(sys._base_executable)')
"$base" -m venv --clear "$program"
pip="$program/bin/python -m pip install --disable-pip-version-check --quiet"
$pip --require-hashes -r "$here/requirements/run.txt"
$pip --no-deps "$wheel"
cp "$here/README.md" "$program/"

if [ ! -e /etc/seedkeep/seedkeep.env ]; then
    install -d -m 0755 /etc/seedkeep
    install -m 0640 -g seedkeep /dev/null /etc/seedkeep/seedkeep.env
    say "# Settings, one a line, for example SEEDKEEP_LIBRARY_DIR=/mnt/disk/seedkeep; see README.md" \
        >/etc/seedkeep/seedkeep.env
fi

install -m 0644 "$here/systemd/seedkeep.service" "$unit"
systemctl daemon-reload
systemctl enable seedkeep
systemctl restart seedkeep
say "Seedkeep runs: http://$(hostname):7333"
say "The code for the first visit:  journalctl -u seedkeep -n 50"
