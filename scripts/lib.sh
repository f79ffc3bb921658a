# Sourced by the scripts beside it: where things are, and how to speak.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034
readonly root build=$root/build

# The compiler cache serves every clone on this machine: paths below the root count relative to it. What it is lenient
# about is what its manual asks for where headers are precompiled.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros

script=$(basename "$0")
say() { printf '%s: %s\n' "$script" "$*"; }
die() {
  printf '%s: %s\n' "$script" "$*" >&2
  exit 1
}

# usage: prints the comment that opens the calling script, from its second line to the first that is no comment.
usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }
