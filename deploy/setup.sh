#!/bin/sh
# Creates the virtual environment and fills it with exactly the locked packages. Called by `make`; safe to repeat.
set -eu

is_debian_root() { [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; }

apt_install() {
  echo "setup: installing $* with apt-get"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "setup: Buckler needs Python 3.11 or later; $PYTHON is $("$PYTHON" --version 2>&1). Call make with PYTHON=/path/to/python3.11." >&2
  exit 2
fi

# Debian splits ensurepip off its Python.
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
  if is_debian_root; then
    apt_install python3-venv
  else
    echo "setup: this Python cannot create virtual environments. Run: sudo apt-get install python3-venv, then make again." >&2
    exit 2
  fi
fi

# libarchive opens what neither the standard library nor 7-Zip's, which comes as a wheel, opens for us.
if ! "$PYTHON" -c 'import ctypes.util, sys; sys.exit(ctypes.util.find_library("archive") is None)' 2>/dev/null; then
  if is_debian_root; then
    apt_install libarchive13
  else
    echo "setup: libarchive is missing. Everything works but 7z, rar, cpio, cab and iso files, which will be reported as incomplete: no_unpacker." >&2
    echo "setup: to add it: sudo apt-get install libarchive13" >&2
  fi
fi

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
