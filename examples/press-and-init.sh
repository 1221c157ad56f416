#!/bin/sh
# Two seats without a conversation: each person presses one key, the rest is given or proposed.
#
#   sudo examples/press-and-init.sh --seat left:guest=win11 --seat right:memory=16GiB
set -eu

place() {
  phyllome-seat identify "$1" --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["usb"]["port"])'
}

left=$(place left)
right=$(place right)
exec phyllome-seat init --yes --seats left,right \
  --seat "left:keyboard=$left" --seat "right:keyboard=$right" "$@"
