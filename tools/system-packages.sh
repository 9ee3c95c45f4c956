#!/usr/bin/env bash
# Installs, where they are missing, the Debian packages that Qt, OpenGL and a virtual screen need, and a browser for the
# tests of reports.
# Does nothing (and says so) where it is no Debian, or not root: the tests that need a screen are then skipped.
set -euo pipefail

packages=(
  xvfb xauth chromium
  libgl1 libegl1 libglx-mesa0 libgl1-mesa-dri libopengl0
  libdbus-1-3 libfontconfig1 libxkbcommon-x11-0
  libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
  libxcb-shape0 libxcb-sync1 libxcb-xfixes0 libxcb-xinerama0 libxcb-xkb1
)

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "system packages: no Debian here, nothing installed"
  exit 0
fi
missing=()
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "system packages: not root; for the tests that need a screen: sudo apt-get install ${missing[*]}"
  exit 0
fi
echo "system packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
